"""Run the cells of a notebook without Jupyter."""

import ast
import json
from pathlib import Path
from typing import Any


def code_cells(path: Path) -> list[dict]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def execute(path: Path, replaced: dict[str, str]) -> list[Any]:
    """What each cell shows: the value of its last line. `replaced` text must occur once."""
    names, shown = {"__name__": "__main__"}, []
    for cell in code_cells(path):
        source = "".join(cell["source"])
        for old in [old for old in replaced if old in source]:
            source = source.replace(old, replaced.pop(old), 1)
        tree, last = ast.parse(source), None
        if isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        exec(compile(tree, cell["id"], "exec"), names)
        shown.append(last and eval(compile(last, cell["id"], "eval"), names))
    assert not replaced
    return shown
