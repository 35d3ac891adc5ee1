"""environment.sh: what is installed, and a torch that is not ours to replace; docs/notebooks.md."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.helpers.tiny_runs import ROOT, TINY, last_line

SCRIPT = Path("pipeline/runtime/environment.sh")
FAKE_PIP = """
import pathlib, sys
if sys.argv[1] == "install":
    pathlib.Path("installed.txt").write_text(" ".join(a for a in sys.argv[2:] if a[0] != "-"))
"""


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def pretend(folder: Path, package: str, version: str) -> None:
    """A package's record, without the package."""
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")


@pytest.fixture
def machine(tmp_path):
    """A folder with .venv, which borrows what lies in `machine/`: pip alone."""
    (tmp_path / SCRIPT).parent.mkdir(parents=True)
    for name in ("environment.sh", "clock.py"):
        shutil.copy(ROOT / SCRIPT.with_name(name), tmp_path / SCRIPT.with_name(name))
    pip = tmp_path / "machine" / "pip"
    pip.mkdir(parents=True)
    (pip / "__main__.py").write_text(FAKE_PIP, encoding="utf-8")
    venv.create(tmp_path / ".venv", symlinks=True)
    borrowed = site_packages(tmp_path / ".venv") / "machine.pth"
    borrowed.write_text(str(tmp_path / "machine"), encoding="utf-8")
    pins = "torch==2.13.0  # a\nnumpy==2.4.6  # b\n"
    (tmp_path / "requirements.txt").write_text(pins, encoding="utf-8")
    return tmp_path


def source(machine: Path, **variables: str) -> tuple[int, str, str]:
    """Exit code, output, and what was installed when the script is sourced."""
    unset = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if name not in unset} | variables
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; source {SCRIPT}"],
        cwd=machine, env=env, capture_output=True, text=True,
    )  # fmt: skip
    record = machine / "installed.txt"
    installed = record.read_text(encoding="utf-8") if record.exists() else ""
    return done.returncode, done.stdout + done.stderr, installed


@pytest.mark.parametrize("version", ["2.11.0", "2.12.1+cu130", "2.14.0"])
def test_the_torch_of_the_machine_is_used_and_the_rest_is_installed(machine, version):
    pretend(machine / "machine", "torch", version)
    code, output, installed = source(machine)
    assert (code, installed) == (0, "numpy==2.4.6")
    assert f"torch {version} is used as it is; 2.13.0 rounds results differently" in output
    assert "GB" not in output
    pretend(site_packages(machine / ".venv"), "numpy", "2.4.6")
    (machine / "installed.txt").unlink()
    assert source(machine)[2] == ""  # nothing is missing now


def test_a_torch_that_is_too_old_or_our_own_is_replaced_by_the_pin(machine):
    pretend(machine / "machine", "torch", "2.10.0")
    assert source(machine)[2] == "torch==2.13.0 numpy==2.4.6"
    pretend(site_packages(machine / ".venv"), "torch", "2.12.0")  # of an earlier pin
    assert source(machine)[2] == "torch==2.13.0 numpy==2.4.6"


def test_an_active_environment_keeps_its_torch_and_is_refused_for_other_pins(machine):
    active = {"VIRTUAL_ENV": str(machine / ".venv")}
    own = site_packages(machine / ".venv")
    pretend(own, "torch", "2.12.0+cu128")
    code, output, installed = source(machine, **active)
    assert (code, installed) == (2, "")
    assert "numpy==2.4.6 (found none)" in output
    assert "torch==" not in output
    assert "run: python -m pip install numpy==2.4.6   (or" in output
    pretend(own, "numpy", "2.4.6")
    code, output, _ = source(machine, **active)
    assert code == 0
    assert "torch 2.12.0+cu128 is used as it is" in output


# The recipes


def recipe(heading: str) -> list[str]:
    """The shell lines of a recipe, up to its run of the sample."""
    text = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    !(.*)$", section, re.M)
    return lines[1 : lines.index("./run_all.sh sample") + 1]  # what comes after git clone


def test_kaggle_and_colab_share_one_recipe():
    commands = ["python3 -m venv --without-pip --system-site-packages .venv", "./run_all.sh sample"]
    assert recipe("Kaggle") == recipe("Colab") == commands


def needed_by(package: str) -> set[str]:
    """`package` and all that it requires, as installed here."""
    found, todo = set(), [package]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            required = importlib.metadata.requires(name) or []
            named = [re.match(r"[\w.-]+", one)[0] for one in required if "extra ==" not in one]
            todo += [one for one in named if _is_installed(one)]
    return found


def _is_installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.long
def test_the_recipe_runs_the_sample_with_the_torch_of_the_machine(tmp_path):
    """With a real pip: a machine whose torch says that it is 2.12.0, and nothing else of ours."""
    clone, borrowed = tmp_path / "mmctr", tmp_path / "machine"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    borrowed.mkdir()
    for name in needed_by("torch"):
        package = importlib.metadata.distribution(name)
        for top in {Path(file).parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            link = borrowed / top
            if not link.exists():
                link.symlink_to(Path(package.locate_file(top)).resolve())
    (info,) = borrowed.glob("torch-*.dist-info")
    info.unlink()
    pretend(borrowed, "torch", "2.12.0")
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env["PATH"] = f"{sys.base_prefix}/bin:{env['PATH']}"
    first, last = recipe("Colab")
    own = [*TINY, "models=din", "train.workers=1"]
    output = ""
    for command in (first, " ".join([last, *own])):
        done = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        if command == first:
            path = site_packages(clone / ".venv") / "machine.pth"
            path.write_text(str(borrowed), encoding="utf-8")
        output = done.stdout
    assert (clone / last_line(output)["submission"]).exists()
    assert not list(site_packages(clone / ".venv").glob("torch*"))
    assert not list(site_packages(clone / ".venv").glob("nvidia*"))
    status = ["git", "-C", str(clone), "status", "--short"]
    assert subprocess.run(status, capture_output=True, text=True).stdout == ""
