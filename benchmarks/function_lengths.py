"""How long functions are: lines of their bodies, without docstrings. The figures of docs/rubric.md, point 12.

python -m benchmarks.function_lengths
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("ir", "passes", "cost_models", "backends", "frontends", "datasets", "ircost")


def function_lengths(folder: Path) -> Iterator[tuple[int, str]]:
    """Lines and place of every function and method below a folder; links are not followed."""
    for path in sorted(path for path in folder.rglob("*.py") if not any(part.is_symlink() for part in path.parents)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = 1 + (body[-1].end_lineno or 0) - body[0].lineno if body else 0
                yield lines, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def main() -> None:
    everything: list[tuple[int, str]] = []
    print(f"{'folder':12} functions  median  p90  longest")
    for name in (*FOLDERS, "all"):
        found = everything if name == "all" else list(function_lengths(ROOT / name))
        lines = sorted(count for count, _ in found)
        longest = " ".join(map(str, max(found)))
        print(f"{name:12} {len(lines):9} {statistics.median(lines):7g} {lines[len(lines) * 9 // 10]:4}  {longest}")
        everything += found if name != "all" else []


if __name__ == "__main__":
    main()
