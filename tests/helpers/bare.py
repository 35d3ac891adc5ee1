"""A machine that has torch, scikit-learn and what these need, but not our other packages."""

import functools
import json
import os
import re
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path

GIVEN = ("torch", "numpy", "scipy", "scikit-learn", "pyarrow", "joblib", "tqdm")
BLOCKER = """
import sys
from importlib.machinery import PathFinder

class BareFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in BLOCKED else super().find_spec(name, path, target)

BLOCKED = frozenset(NAMES)
sys.meta_path[sys.meta_path.index(PathFinder)] = BareFinder
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def installed() -> frozenset[str]:
    return frozenset(canonical(found.name) for found in distributions())


def needs(package: str) -> set[str]:
    """The packages that `package` itself requires on this machine, without extras."""
    texts = requires(package) or [] if package in installed() else []
    names = (re.match(r"[\w.-]+", text)[0] for text in texts if "extra ==" not in text)
    return {canonical(name) for name in names} & installed()  # not colorama, of Windows


def closure(packages: tuple[str, ...]) -> set[str]:
    """`packages` and whatever they require."""
    found, todo = set(), list(packages)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs(name)
    return found


def environment(folder: Path) -> dict[str, str]:
    """In this environment Python finds no package but GIVEN and what these require."""
    given = closure(GIVEN)
    blocked = [
        module
        for module, owners in packages_distributions().items()
        if not given & {canonical(owner) for owner in owners}
    ]
    text = BLOCKER.replace("NAMES", json.dumps(blocked))
    (folder / "sitecustomize.py").write_text(text)
    return os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
