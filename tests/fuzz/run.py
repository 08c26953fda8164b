"""Damages models for a while and reports what broke.

    python tests/fuzz/run.py SECONDS [--zoo DIR] [--seed N] [--out DIR]

Half of the cases are damaged in their fields, half in their bytes. What is neither taken nor refused by an `IrcError`,
or takes too much time or memory, is written to DIR (default: findings). Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "fuzz")]

from mutation import mutated_bytes, mutated_fields  # noqa: E402
from seeds import real_models, seeds  # noqa: E402
from survival import survives, survives_file  # noqa: E402

MOST_PROCESSOR_S = 60.0  # a damaged model takes some hundredths of a second


class TooSlowError(AssertionError):
    """It took more time than a hostile file may take."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("findings"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    models = seeds()
    files = [model.SerializeToString() for model in models]
    files += real_models(arguments.zoo) if arguments.zoo else []
    rng = random.Random(arguments.seed)
    verdicts: Counter[str] = Counter()
    findings: dict[str, int] = {}
    end = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.onnx"
        while time.monotonic() < end:
            data, start = b"", time.process_time()
            try:
                if rng.random() < 0.5:
                    model = mutated_fields(rng.choice(models), rng)
                    data = model.SerializeToString()
                    verdict = survives(model)
                else:
                    data = mutated_bytes(rng.choice(files), rng)
                    path.write_bytes(data)
                    verdict = survives_file(path)
                taken_s = time.process_time() - start
                if taken_s > MOST_PROCESSOR_S:
                    raise TooSlowError(f"{taken_s:.0f} s")
            except Exception as error:
                verdict = "BROKEN"
                key = where(error)
                if key not in findings:
                    arguments.out.mkdir(exist_ok=True)
                    (arguments.out / f"{len(findings):03}.onnx").write_bytes(data)
                    print(f"{len(findings):03} {key}", flush=True)
                findings[key] = findings.get(key, 0) + 1
            verdicts[verdict.split(":")[0]] += 1
    print(dict(verdicts), f"{len(findings)} different findings")
    return 1 if findings else 0


def where(error: Exception) -> str:
    """The kind of error and the innermost line of ours that raised it."""
    cause = error.__cause__ or error
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if str(ROOT) in frame.filename]
    last = frames[-1] if frames else None
    place = f"{Path(last.filename).name}:{last.lineno}" if last else "?"
    return f"{type(cause).__name__} at {place}: {str(cause)[:100]}"


if __name__ == "__main__":
    sys.exit(main())
