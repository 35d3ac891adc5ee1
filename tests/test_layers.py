"""Imports go one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"pipeline", "features", "models", "cv", "submissions", "bench"}
ALLOWED = {
    "models": {"models"},
    "features": {"features"},
    "cv": {"cv", "features"},
    "submissions": {"submissions", "features"},
}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_go_one_way(folder):
    for path in (ROOT / folder).glob("*.py"):
        assert imported(path) & OURS <= ALLOWED[folder], path.name


def test_models_import_torch_and_numpy_only():
    for path in (ROOT / "models").glob("*.py"):
        others = imported(path) - set(sys.stdlib_module_names) - {"models"}
        assert others <= {"torch", "numpy"}, path.name


def test_the_store_opens_with_numpy_alone():
    for name in ("store", "errors"):
        others = imported(ROOT / "features" / f"{name}.py") - set(sys.stdlib_module_names)
        assert others <= {"numpy", "features"}, name


def test_a_run_starts_without_the_heavy_libraries():
    heavy = "{'torch', 'sklearn', 'scipy', 'lightgbm', 'matplotlib', 'optuna'}"
    code = f"import pipeline.__main__, sys; print({heavy} & sys.modules.keys() or 'none')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "none", done.stderr
