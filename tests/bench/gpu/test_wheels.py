"""The folder of wheels: what it needs to hold, how large it may be, what is installed from it."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.gpu import wheels
from features.errors import InputError
from tests.helpers.bare import GIVEN, canonical, closure, needs

FAKE = "mmctr_fake"  # a package that no machine has


def write_wheel(folder: Path, name: str = FAKE, tag: str = "py3-none-any") -> Path:
    """A wheel of one module with VALUE = 7."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-1.0-{tag}.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "VALUE = 7\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A folder in which pip looks for wheels, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def locked_fake(monkeypatch):
    """Makes FAKE the one package to download, with the hash of one wheel."""
    monkeypatch.setattr(wheels, "CARRIED", ("mmctr-fake",))

    def lock(wheel: Path) -> None:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        text = f"mmctr-fake==1.0 --hash=sha256:{digest}\n"
        monkeypatch.setattr(wheels, "locked", lambda names: text)

    return lock


def test_whatever_a_carried_package_needs_is_carried_or_given():
    there = {*wheels.CARRIED, *closure(GIVEN), "pyyaml"}  # PyYAML: optuna's command alone
    assert {canonical(name): needs(name) - there for name in wheels.CARRIED} == {
        name: set() for name in wheels.CARRIED
    }


def test_nothing_is_carried_that_a_given_package_brings_except_for_older_scikit_learn():
    assert set(wheels.CARRIED) & closure(GIVEN) <= {"narwhals"}


def test_versions_and_hashes_are_those_of_the_lock_file():
    lines = wheels.locked(wheels.CARRIED).splitlines()
    names = [line.partition("==")[0] for line in lines if line[0] != " "]
    assert tuple(names) == wheels.CARRIED
    assert wheels.locked(["polars"]).startswith("polars==")
    assert "--hash=sha256:" in wheels.locked(["polars"])


@pytest.mark.parametrize("tag", ["py3-none-any", "cp36-abi3-manylinux2014_x86_64"])
def test_a_wheel_for_every_python_is_downloaded(offline, locked_fake, tmp_path, tag, monkeypatch):
    monkeypatch.setattr(wheels.platform, "machine", lambda: "x86_64")
    locked_fake(write_wheel(offline, tag=tag))
    wheels.download(tmp_path / "wheels")
    assert [w.name for w in wheels.wheels_in(tmp_path / "wheels")] == [f"{FAKE}-1.0-{tag}.whl"]


def test_a_wheel_for_one_python_alone_is_not(offline, locked_fake, tmp_path, capsys):
    locked_fake(write_wheel(offline, tag="cp311-cp311-manylinux2014_x86_64"))
    assert wheels.main([str(tmp_path / "wheels")]) == 2
    assert capsys.readouterr().err.startswith("error: pip download failed: ")


def test_a_folder_with_other_wheels_is_refused(offline, locked_fake, tmp_path):
    locked_fake(write_wheel(offline))
    write_wheel(tmp_path / "wheels", "other")
    with pytest.raises(InputError, match="has wheels of mmctr-fake, other; expected one of each"):
        wheels.download(tmp_path / "wheels")


def test_missing_packages_are_installed_and_others_stay(tmp_path):
    write_wheel(tmp_path / "wheels")
    write_wheel(tmp_path / "wheels", "numpy")
    env = wheels.install(tmp_path / "wheels", tmp_path / "packages")
    code = f"import {FAKE}, numpy; print({FAKE}.VALUE, numpy.__version__)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout == f"7 {__import__('numpy').__version__}\n", done.stderr


def test_pythonpath_is_kept_behind_the_installed_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    write_wheel(tmp_path / "wheels", "numpy")
    env = wheels.install(tmp_path / "wheels", tmp_path / "packages")
    assert env["PYTHONPATH"] == f"{tmp_path / 'packages'}{os.pathsep}/somewhere"


def test_a_wheel_that_pip_refuses_is_an_error(tmp_path):
    write_wheel(tmp_path / "wheels", tag="cp27-cp27mu-linux_x86_64")
    with pytest.raises(InputError, match="pip install failed: "):
        wheels.install(tmp_path / "wheels", tmp_path / "packages")


def test_what_travels_is_listed_and_added_up(tmp_path):
    with (tmp_path / "large-1.0-py3-none-any.whl").open("wb") as file:
        file.truncate(20 << 20)
    lines = list(wheels.travel(tmp_path))
    assert lines[0].endswith(f"{len(wheels.tree())} files of the project")
    assert lines[1] == " 20.00 MiB  large-1.0-py3-none-any.whl"
    total = sum(path.stat().st_size for path in wheels.tree()) / 2**20 + 20
    assert lines[2] == f"{total:6.2f} MiB  in all, of at most 64"
    assert len(list(wheels.travel(None))) == 2


def test_folders_that_git_ignores_travel_where_they_are_named(tmp_path):
    (tmp_path / "store" / "train").mkdir(parents=True)
    (tmp_path / "store" / "train" / "user.npy").write_bytes(bytes(1 << 20))
    lines = list(wheels.travel(None, tmp_path / "store", None))
    assert lines[1] == f"  1.00 MiB  {tmp_path / 'store'}"
    assert len(lines) == 3


def test_too_much_is_refused_after_it_is_listed(tmp_path):
    with (tmp_path / "large-1.0-py3-none-any.whl").open("wb") as file:
        file.truncate(64 << 20)
    lines = wheels.travel(tmp_path)
    assert [next(lines) for _ in range(3)][-1].endswith("in all, of at most 64")
    with pytest.raises(InputError, match="expected less than 64 MiB"):
        next(lines)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A project of three files, one of which git ignores."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name, text in {".gitignore": "/ignored\n", "ignored": "", "new": ""}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(wheels, "REPOSITORY", tmp_path)
    return tmp_path


def test_files_that_git_ignores_do_not_travel(clone):
    assert {path.name for path in wheels.tree()} == {".gitignore", "new"}


def test_wheels_inside_the_project_are_counted_once(clone, monkeypatch):
    write_wheel(clone / "wheels")
    monkeypatch.chdir(clone)
    lines = list(wheels.travel(Path("wheels")))
    assert lines[0].endswith(" 2 files of the project")
    assert len(lines) == 3


def test_without_wheels_or_git_the_error_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"make it: python -m bench\.gpu\.wheels"):
        wheels.wheels_in(tmp_path)
    monkeypatch.setattr(wheels, "REPOSITORY", tmp_path)
    with pytest.raises(InputError, match="run this in a clone"):
        wheels.tree()
