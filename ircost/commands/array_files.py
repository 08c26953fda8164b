"""Arrays that `irc run` reads and writes: ``.npy`` and ``.npz``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np

from ircost.commands.options import OptionError

# Zip files carry a time; a fixed one, the oldest that the format has, keeps equal outputs equal bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def read_array(name: str, path: str) -> np.ndarray:
    """The array in a ``.npy`` file, or the one called ``name`` in a ``.npz``.

    Raises:
        OptionError: the file cannot be read, or has no such array.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if name not in loaded:
                known = ", ".join(loaded)
                raise OptionError(
                    f"--input {name}: {path} has no array '{name}'", help=f"it holds {known or 'nothing'}"
                )
            return np.asarray(loaded[name])
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise OptionError(f"--input {name}: cannot read {path}: {error}", help="write it with numpy.save") from None


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A ``.npz`` file; number formats that NumPy lacks, such as bf16, are stored as float32."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, storable(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy", NO_TIME), part.getvalue())
    return buffer.getvalue()


def storable(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind in "biufc" and array.dtype.isbuiltin == 1 else array.astype(np.float32)
