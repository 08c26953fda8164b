"""Coverage-guided damage to the bytes of ONNX files, with atheris (`pip install atheris`).

    python tests/fuzz/fuzz_bytes.py CORPUS -max_total_time=600

CORPUS is a folder; where it is empty, small models of ONNX's conformance suite are put there first. A crash is written
to the working directory, as libFuzzer does.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "fuzz")]

FILE = Path(tempfile.mkdtemp()) / "damaged.onnx"


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["ircost"]):
        from seeds import seeds
        from survival import survives_file

    def one_file(data: bytes) -> None:
        FILE.write_bytes(data)
        survives_file(FILE)

    corpus = Path(sys.argv[1])
    corpus.mkdir(exist_ok=True)
    if not any(corpus.iterdir()):
        for i, model in enumerate(seeds()):
            if model.ByteSize() < 4096:
                (corpus / f"{i}.onnx").write_bytes(model.SerializeToString())
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, one_file)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
