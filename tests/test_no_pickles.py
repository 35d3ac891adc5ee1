"""Nothing that a user hands over is unpickled; arrays that are none are refused."""

import ast
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import InputError
from features.sources.microlens_release import files
from features.store import schema
from features.store.prepare import write_store
from features.store.store import open_store
from pipeline.inference import checkpoints
from submissions.check import check, read_ids
from tests.helpers.worlds import tiny_challenge

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path):
    return tiny_challenge(tmp_path / "challenge", rows=24, width=4, items=12)


NPY = {
    "cut": lambda good: good[:-5],
    "no magic": lambda good: b"x" + good[1:],
    "empty": lambda good: b"",
    "a shape that no memory holds": lambda good: good.replace(b"(2, 3)", b"(2000000000, 3)", 1),
    "a header that nests": lambda good: good[:10] + b"(" * 100 + good[110:],
    "a negative shape": lambda good: good.replace(b"(2, 3)", b"(-2,3)", 1),
    "a zip": lambda good: b"PK\x03\x04" + good,
    "a pickle": lambda good: pickle.dumps({"a": 1}),
}


def npy_bytes(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()


@pytest.mark.parametrize("harm", NPY.values(), ids=NPY)
def test_files_that_are_no_array(tmp_path, harm):
    path = tmp_path / "text.npy"
    path.write_bytes(harm(npy_bytes(np.ones((2, 3)))))
    with pytest.raises(InputError, match=r"text\.npy: found ") as error:
        files.read_array(path, 2)
    assert "\n" not in str(error.value)


def test_npz_is_no_array_and_float64_may_not_overflow(tmp_path):
    np.savez(tmp_path / "text.npz", a=np.ones((2, 3)))
    (tmp_path / "text.npz").rename(tmp_path / "text.npy")
    with pytest.raises(InputError, match=r"found no plain \.npy"):
        files.read_array(tmp_path / "text.npy", 2)
    np.save(tmp_path / "text.npy", np.full((2, 3), 1e300))
    with pytest.raises(InputError, match="finite float32"):
        files.read_array(tmp_path / "text.npy", 2)


def test_a_tensor_of_a_few_bytes_that_claims_terabytes_is_no_checkpoint(tmp_path):
    torch.save({"item.id.weight": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "any.model")
    with pytest.raises(InputError, match="holds no state_dict"):
        checkpoints.load_state(tmp_path / "any.model")


SOURCES = sorted(
    path
    for folder in ("pipeline", "features", "models", "cv", "submissions", "bench")
    for path in (ROOT / folder).rglob("*.py")
)
ALLOWED = {  # call -> the argument that makes it safe
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "shutil.unpack"}


def calls(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Every call in a file, by its dotted name, with its constant keyword arguments."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            arguments = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            found.append((ast.unparse(node.func), arguments))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_unpickles(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [getattr(alias, "name", alias) for alias in getattr(node, "names", [])]
        names += [getattr(node, "module", None) or ""]
        assert not UNPICKLERS & {name.split(".")[0] for name in names if isinstance(name, str)}
    for name, arguments in calls(path):
        assert name not in ("joblib.load", "torch.jit.load", "eval", "exec", "pd.read_pickle")
        if name in ALLOWED:
            argument, value = ALLOWED[name]
            assert arguments.get(argument) is value, f"{name} without {argument}={value}"


def test_readers_work_with_every_unpickler_barred(folder, tmp_path, monkeypatch):

    def barred(*_, **__):
        raise AssertionError("unpickled")

    torch.save({"a": torch.ones(2)}, tmp_path / "state.pt")
    np.save(tmp_path / "text.npy", np.ones((2, 3)))
    (tmp_path / "ids.csv").write_text("ID,Task2\n0,0.5\n1,0.25\n")
    monkeypatch.setattr(pickle, "load", barred)
    monkeypatch.setattr(pickle, "loads", barred)
    monkeypatch.setattr(pickle, "Unpickler", barred)
    write_store(tmp_path / "store", schema.files(folder), published_sizes=False)
    open_store(tmp_path / "store")
    checkpoints.load_state(tmp_path / "state.pt")
    files.read_array(tmp_path / "text.npy", 2)
    assert check(tmp_path / "ids.csv", read_ids(tmp_path / "ids.csv")).errors == []


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-code-ran"),))


def test_pickles_under_any_name_are_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile, path = pickle.dumps(Hostile()), tmp_path / "x.npy"
    path.write_bytes(hostile)
    for read in (
        lambda: files.read_array(path, 1),
        lambda: checkpoints.load_state(path),
        lambda: read_ids(path),
    ):
        with pytest.raises(InputError):
            read()
    np.save(path, np.array([Hostile()]), allow_pickle=True)
    with pytest.raises(InputError):
        files.read_array(path, 1)
    torch.save(Hostile(), path)
    with pytest.raises(InputError):
        checkpoints.load_state(path)
    assert not Path("hostile-code-ran").exists()
