"""The folder of wheels for a machine that has torch and scikit-learn but no
network.

    python -m bench.gpu.wheels DIR

downloads the wheels of CARRIED into DIR, at the versions and hashes of
requirements.lock, and prints what has to be carried, with sizes. Wheels for
one version of Python alone are not taken, so one folder serves them all, on a
Linux with glibc 2.28 or newer and the processor of this machine.
"""

import argparse
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from features.errors import InputError
from pipeline.config.paths import REPOSITORY
from pipeline.runtime import usage

LIMIT_MIB = 64  # of all that is carried: the tree and the wheels
# With torch, numpy, scipy, scikit-learn, pyarrow, joblib, tqdm and what these need, this is enough
# for all stages but 80_report's pictures. optuna needs PyYAML for its command line alone.
CARRIED = (
    "polars",
    "polars-runtime-32",
    "lightgbm",
    "narwhals",
    "psutil",
    "optuna",
    "alembic",
    "colorlog",
    "mako",
    "packaging",
    "sqlalchemy",
)
OLDEST_PYTHON = "3.11"  # of pyproject.toml


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    try:
        download(arguments.folder)
        for line in travel(arguments.folder):
            print(line)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = usage.parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder, which is made")
    return parser.parse_args(argv)


def download(folder: Path) -> None:
    """Fill `folder` with the wheels of CARRIED, and no others.

    Raises InputError if pip fails, or if other wheels lie there already.
    """
    requirements = locked(CARRIED)
    machine = platform.machine()
    manylinux = [f"--platform=manylinux{tag}_{machine}" for tag in ("_2_28", "2014")]
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", *manylinux]
    any_python = ["--implementation=cp", "--abi=abi3", "--abi=none"]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        python = f"--python-version={OLDEST_PYTHON}"
        _pip("download", *options, python, *any_python, f"--dest={folder}", f"-r{file.name}")
    names = [name_of(wheel) for wheel in wheels_in(folder)]
    if sorted(names) != sorted(CARRIED):
        raise InputError(
            f"{folder} has wheels of {', '.join(names)}; expected one of each of"
            f" {', '.join(CARRIED)}: name an empty folder"
        )


def locked(names: Sequence[str]) -> str:
    """The entries of requirements.lock, with their hashes, of some packages."""
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^([\w.-]+)(==\S+(?: \\\n +--hash=\S+)+)$", lock, re.MULTILINE)
    found = dict(entries)
    return "".join(f"{name}{found[name]}\n" for name in names)


def travel(wheels: Path | None, *folders: Path | None) -> Iterator[str]:
    """What is carried to the machine, a line each in MiB, and the sum beside LIMIT_MIB.

    This is every file of the project that git does not ignore, the wheels, and `folders`, such as
    that of a store, in which git ignores all. Raises InputError after the sum if it is too large,
    and where there is no git or no wheel.
    """
    packages = wheels_in(wheels.resolve()) if wheels else []
    files = [path for path in tree() if path.is_file() and path not in packages]
    sizes = {f"{len(files)} files of the project": size_of(files)}
    sizes |= {wheel.name: size_of([wheel]) for wheel in packages}
    for folder in filter(None, folders):
        sizes[str(folder)] = size_of(path for path in folder.rglob("*") if path.is_file())
    for name, size in sizes.items():
        yield f"{size / 2**20:6.2f} MiB  {name}"
    total = sum(sizes.values())
    yield f"{total / 2**20:6.2f} MiB  in all, of at most {LIMIT_MIB}"
    if total >= LIMIT_MIB << 20:
        raise InputError(
            f"{total / 2**20:.2f} MiB would be carried; expected less than {LIMIT_MIB} MiB: remove"
            " untracked files of the project, or wheels that the machine does not lack"
        )


def size_of(files: Iterable[Path]) -> int:
    """Bytes."""
    return sum(path.stat().st_size for path in files)


def tree() -> list[Path]:
    """Every file of the project that git tracks or does not ignore."""
    listing = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run(
            [*listing, "--exclude-standard"], capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise InputError(
            f"{REPOSITORY}: git does not list the project's files ({error}); run this in a clone"
        ) from None
    return [REPOSITORY / name for name in done.stdout.split("\0") if name]


def install(wheels: Path, into: Path) -> dict[str, str]:
    """Install those of `wheels` whose packages this Python lacks into a folder.

    Packages that it has stay as they are, whatever their version. Returns the environment in which
    a new process finds the installed ones. Raises InputError if pip fails or there is no wheel.
    """
    lacking = [str(wheel) for wheel in wheels_in(wheels) if not is_installed(name_of(wheel))]
    if lacking:
        options = ["--isolated", "--no-index", "--no-deps", "--no-compile", f"--target={into}"]
        _pip("install", *options, *lacking)
    paths = [str(into.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def wheels_in(folder: Path) -> list[Path]:
    """Raises InputError where there is none."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise InputError(f"{folder} has no wheels; make it: python -m bench.gpu.wheels {folder}")
    return wheels


def name_of(wheel: Path) -> str:
    """The package in a wheel, spelt as in requirements.lock."""
    return wheel.name.partition("-")[0].replace("_", "-").lower()


def is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"pip {arguments[0]} failed: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
