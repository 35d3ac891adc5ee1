"""Imports go one way, in no circle, and change nothing by themselves.

Read from the source, every import statement of every file: also those inside functions, and names
of our modules in strings, which importlib may import.
"""

import ast
import functools
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {  # -> the other folders that it may import
    "models": set(),
    "features": set(),
    "cv": {"features"},
    "submissions": {"features"},
    "pipeline": {"models", "features", "cv", "submissions"},
    "bench": {"pipeline", "models", "features", "cv", "submissions"},
}
LAYERS = (  # of pipeline/: what stands in a row imports itself and the rows above it, not its row
    {"config"},
    {"artifacts"},
    {"runtime"},
    {"source_files"},
    {"graph"},
    {"data", "training", "blending"},
    {"runs"},
    {"inference", "tuning", "probes", "reporting"},
)
SLOW = {"torch", "sklearn", "scipy", "lightgbm", "matplotlib", "optuna"}  # seconds each
WITHOUT = {  # modules -> what importing them must not import, by whatever way
    "pipeline.__main__": SLOW,
    "pipeline.config": SLOW,
    "pipeline.artifacts": SLOW,
    "pipeline.graph": SLOW,
    "pipeline.runs": SLOW,
    "pipeline.00_data": SLOW,
    "pipeline.10_prepare": {"torch"},
    "pipeline.20_folds": {"torch"},
    "pipeline.25_prefixes": SLOW,
    "pipeline.30_features": {"torch"},
    "pipeline.70_submit": {"torch"},
    "pipeline.90_score": SLOW,
}
STDLIB = set(sys.stdlib_module_names)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))
}


def names_in(tree: ast.AST) -> set[str]:
    """Every name that may be that of an imported module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and node.value in MODULES:
            names |= {node.value} - set(FOLDERS)  # "features" is a word, too
    return names


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Modules that `module` imports: ours by their full name, the others by their package's."""
    found = set()
    for name in names_in(ast.parse(MODULES[module].read_text())):
        package = name.partition(".")[0]
        if package not in FOLDERS:
            found.add(package)
        elif name in MODULES:
            found.add(name)
    return frozenset(found - {module, *FOLDERS})


def folder_of(module: str) -> str:
    return module.partition(".")[0]


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if folder_of(name) in FOLDERS}


def others(module: str) -> set[str]:
    return imports(module) - ours(module) - STDLIB


def layer_of(module: str) -> int:
    """Number of the row; stages, which may import everything, stand in the last."""
    part = module.split(".")[1]
    numbers = [i for i, row in enumerate(LAYERS) if part in row]
    if not numbers:
        assert part == "__main__" or part[0].isdigit(), f"{module} stands in no layer"
    return numbers[0] if numbers else len(LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_folders_are_imported_one_way(module):
    allowed = FOLDERS[folder_of(module)] | {folder_of(module)}
    wrong = {name for name in ours(module) if folder_of(name) not in allowed}
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("pipeline.")])
def test_layers_of_the_pipeline_are_imported_one_way(module):
    part = module.split(".")[1]
    below = {name for name in ours(module) if name.startswith("pipeline.")}
    wrong = {
        name for name in below if name.split(".")[1] != part and layer_of(name) >= layer_of(module)
    }
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}"


def test_no_modules_import_each_other_in_a_circle():
    try:
        graphlib.TopologicalSorter({name: ours(name) for name in MODULES}).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(f"a circle of imports: {' <- '.join(error.args[1])}") from None


@pytest.mark.parametrize("package", [n for n, path in MODULES.items() if path.stem == "__init__"])
def test_the_init_of_a_folder_is_its_docstring(package):
    body = ast.parse(MODULES[package].read_text()).body
    assert len(body) == 1
    assert ast.get_docstring(ast.Module(body, []))


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("models.")])
def test_models_need_torch_and_numpy_alone(module):
    assert others(module) <= {"torch", "numpy"}


def test_the_store_opens_with_numpy_alone():
    seen, new = set(), {"features.store.store"}
    while new:
        seen |= new
        new = set().union(*(ours(name) for name in new)) - seen
    assert set().union(*(others(name) for name in seen)) == {"numpy"}


@pytest.mark.parametrize("module", WITHOUT)
def test_what_starts_often_imports_no_slow_library(module):
    names = [name for name in MODULES if name == module or name.startswith(f"{module}.")]
    code = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        f"print(*sorted({WITHOUT[module]} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"{module} imports {done.stdout}"


STATE = """
import importlib, json, logging, os, random, signal, sys, warnings

def state():
    found = {f"handler of signal {s}": repr(signal.getsignal(s)) for s in signal.valid_signals()}
    loggers = {name: logging.getLogger(name) for name in [None, *logging.root.manager.loggerDict]}
    for name, logger in loggers.items():
        found[f"logger {name}"] = repr((logger.level, logger.handlers, logger.disabled))
    found |= {f"environment variable {name}": value for name, value in os.environ.items()}
    found["warnings"] = repr(warnings.filters)
    found["threads of torch"] = torch.get_num_threads()
    found["path"] = sys.path[:]
    found["random numbers"] = repr((random.getstate(), numpy.random.get_state()[1].tolist()))
    found["random numbers of torch"] = torch.get_rng_state().tolist()
    found |= {f"rcParams {name}": repr(value) for name, value in matplotlib.rcParams.items()}
    return found

first, ours = json.loads(sys.argv[1])
for name in first:
    importlib.import_module(name)
import matplotlib, numpy, torch
before, changed = state(), {}
for name in ours:
    importlib.import_module(name)
    after = state()
    # A logger that a library makes late is a library's; ours are none.
    changes = [k for k in before | after if before.get(k) != after.get(k) and k in before]
    if changes:
        changed[name] = changes
    before = after
print(json.dumps(changed))
"""


def test_importing_a_module_changes_nothing():
    """Signal handlers, logging, the environment, warnings, figures' style, threads, random state.

    Libraries are imported first: what they change is not ours.
    """
    mine = [name for name in MODULES if folder_of(name) != "bench"]
    libraries = set().union(*(others(name) for name in mine))
    submodules = {
        name
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else
                     [alias.name for alias in node.names])
        if name.partition(".")[0] in libraries
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", STATE, json.dumps([sorted(submodules), mine])],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}
