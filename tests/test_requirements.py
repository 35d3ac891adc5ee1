"""Imports, pins and lock file agree."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ["pipeline", "features", "models", "cv", "submissions", "bench", "tests"]
# Pins that no line of code imports: where they are used, and the text that shows it.
USED_BY_NAME = {
    "dask": ("pipeline/training/executors/dask.py", "distributed"),
    "mypy": ("pyproject.toml", "[tool.mypy]"),
    "onnx": ("pipeline/inference/export.py", "torch.onnx.export"),
    "onnxscript": ("pipeline/inference/export.py", "torch.onnx.export"),
    "psycopg": ("pipeline/tuning/storage.py", "postgresql+psycopg"),
    "psycopg-binary": ("pipeline/tuning/storage.py", "postgresql+psycopg"),
    "pytest-cov": ("pyproject.toml", "[tool.coverage.run]"),
    "pytest-timeout": ("pyproject.toml", "\ntimeout ="),
    "pytest-xdist": ("run_tests.sh", "-n auto"),
    "tensorboard": ("pipeline/training/tracking/tensorboard.py", "torch.utils.tensorboard"),
    "ruff": ("run_tests.sh", "-m ruff"),
}
CUDA = re.compile(r"nvidia-|cuda-|triton$")  # torch's CUDA build needs them, its CPU build does not


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Package -> version of requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [re.match(r"([\w.-]+)==(\S+) +# \S", line) for line in lines if line[0] != "#"]
    assert None not in found, "a line is no `package==version  # who needs it`"
    return {canonical(m[1]): m[2] for m in found}


def lock() -> dict[str, tuple[str, int]]:
    """Package -> its version, and how many hashes it has, of requirements.lock."""
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^([\w.-]+)==(\S+)(.*\n(?: +--hash=sha256:[0-9a-f]{64}.*\n)*)", text, re.M)
    return {canonical(name): (version, rest.count("--hash")) for name, version, rest in blocks}


def imported_modules() -> dict[str, str]:
    """Top-level module that is not ours nor Python's -> a file that imports it."""
    modules = {}
    for path in sorted(p for folder in OURS for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("importorskip"):
                names = [node.args[0].value]
            modules |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {m: p for m, p in modules.items() if m not in {*OURS, *sys.stdlib_module_names}}


def imported_packages() -> dict[str, str]:
    """Package that the code imports -> a file that imports it."""
    owners = packages_distributions()
    return {canonical(owners.get(m, [m])[0]): path for m, path in imported_modules().items()}


def test_every_package_that_is_imported_is_pinned_or_comes_with_torch_for_cuda():
    imported = {name: path for name, path in imported_packages().items() if not CUDA.match(name)}
    assert {name: path for name, path in imported.items() if name not in pins()} == {}


def test_every_pin_is_imported_or_used_by_name():
    used = {*imported_packages(), *USED_BY_NAME}
    assert [name for name in pins() if name not in used] == []


@pytest.mark.parametrize("name", USED_BY_NAME)
def test_what_is_used_by_name_is_pinned_and_named_where_we_say(name):
    path, text = USED_BY_NAME[name]
    assert name in pins()
    assert text in (ROOT / path).read_text()


def test_every_pin_is_in_the_lock_file_at_its_version():
    locked = {name: version.split("+")[0] for name, (version, _) in lock().items()}
    assert {name: locked.get(name) for name in pins()} == pins()  # renew it: bash .ci/lock


def test_the_lock_file_has_hashes_for_everything_and_no_cuda_package():
    assert len(lock()) > len(pins())
    assert [name for name, (_, hashes) in lock().items() if hashes == 0] == []
    assert [name for name in lock() if CUDA.match(name)] == []
    assert lock()["torch"][0].endswith("+cpu")
