"""Fits that were stopped, and what stops them."""

import pickle
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import torch

from features.errors import InputError
from models.training import fit
from pipeline import graph
from pipeline.artifacts import provenance, spec
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import write_artifact
from pipeline.config.load import load
from pipeline.probes import history_use
from pipeline.runtime import cli
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.training import checkpointing, context, fits
from pipeline.training.checkpointing import FitCheckpointer
from tests.models.training.test_fit import same
from tests.test_run_all import ROOT, TINY

stage = import_module("pipeline.50_train")
FILES = ("model.pt", "held.parquet", "valid.parquet", "test.parquet")
KEY = "qin", 0, 0
LAST = 6


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Of a run of one network; the epochs of a fit are all kept."""
    folder = tmp_path_factory.mktemp("resuming")
    own = ["models=qin", f"network.fit.max_epochs={LAST}", f"network.fit.patience={LAST}"]
    own += ["train.save_every=0", "train.workers=1", f"artifacts={folder}"]
    given = [*(word for word in TINY if "max_epochs" not in word), *own]
    for name in ("00_data", "10_prepare", "20_folds", "50_train"):
        import_module(f"pipeline.{name}").work(load("sample", given), False)
    return given


@pytest.fixture
def whole(words):
    """The place of a fit that was never stopped."""
    return graph.fits(load("sample", words))[KEY]


@pytest.fixture
def own(words, tmp_path):
    """The words of a run on the same rows that has trained nothing yet."""
    folder = Path(load("sample", words).artifacts)
    copy = shutil.copytree(folder, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*words, f"artifacts={copy}"]


def place_of(words: list[str]) -> ArtifactSpec:
    return graph.fits(load("sample", words))[KEY]


def stop_after(words: list[str], epoch: int, monkeypatch) -> ArtifactSpec:
    """Interrupt the first fit in the epoch behind `epoch`; its place."""

    def interrupt(key, now, record):
        if now > epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fits, "_say", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stage.work(load("sample", words), False)
    place = place_of(words)
    assert place.state.exists()
    assert not place.done
    return place


def ends_as(place: ArtifactSpec, whole: ArtifactSpec) -> None:
    """Two fits of equal settings have equal bytes, and nothing is left beside the second."""
    for name in FILES:
        assert (place.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    reports = [spec.record(one.path)["report"] for one in (place, whole)]
    curves = [same(reports[0][key], reports[1][key]) for key in ("best_epoch", "auc", "epochs")]
    assert all(curves)
    assert [path.name for path in place.folder.glob(".*")] == []


KILLED = """
import importlib, os, signal, sys
from pipeline import training
from pipeline.settings import load
fits._say = lambda key, epoch, record: epoch == 4 and os.kill(os.getpid(), signal.SIGKILL)
importlib.import_module("pipeline.50_train").work(load("sample", sys.argv[1:]), False)
"""


def test_a_killed_fit_goes_on_and_ends_as_one_that_was_not(own, whole, capsys):
    done = subprocess.run([sys.executable, "-c", KILLED, *own], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    stage.work(load("sample", own), False)
    said = capsys.readouterr().out
    assert "50_train qin seed 0 fold 0 goes on after epoch 3\n" in said
    assert said.count("goes on") == 1
    ends_as(place_of(own), whole)


def test_a_fit_that_ended_and_was_stopped_before_it_appeared_is_not_trained_again(
    own, whole, capsys, monkeypatch
):
    def full(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fits, "_write", full)
        with pytest.raises(KeyboardInterrupt):
            stage.work(load("sample", own), False)
    capsys.readouterr()
    stage.work(load("sample", own), False)
    said = capsys.readouterr().out
    assert f"goes on after epoch {LAST}\n" in said
    assert "fold 0 epoch" not in said
    ends_as(place_of(own), whole)


def flip(path: Path) -> None:
    """Another bit in the middle of the largest tensor, which torch would load."""
    with zipfile.ZipFile(path) as file:
        tensors = [one for one in file.infolist() if "/data/" in one.filename]
        largest = max(tensors, key=lambda one: one.file_size)
    data = bytearray(path.read_bytes())
    data[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(data)
    torch.load(path, weights_only=True)


HARM = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"state": print})),
    "a checkpoint": lambda path: torch.save({"weight": torch.ones(2)}, path),
    "lists": lambda path: torch.save({"by": [], "state": []}, path),
    "code": lambda path: torch.save({"by": print, "state": {}}, path),
    "no epochs": lambda path: torch.save(torch.load(path) | {"state": {}}, path),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_state_is_said_and_the_fit_starts_anew(own, whole, harm, capsys, monkeypatch):
    place = stop_after(own, 2, monkeypatch)
    HARM[harm](place.state)
    capsys.readouterr()
    stage.work(load("sample", own), False)
    said = capsys.readouterr().out
    assert f"50_train qin seed 0 fold 0 starts anew: {place.state} is damaged\n" in said
    assert "goes on" not in said
    ends_as(place, whole)


def test_a_state_of_other_code_or_rounding_is_said_and_the_fit_starts_anew(
    own, whole, capsys, monkeypatch
):
    place = stop_after(own, 2, monkeypatch)
    kept = torch.load(place.state, weights_only=True)
    assert kept["by"]["code"] == provenance.code()
    torch.save(kept | {"by": kept["by"] | {"code": "abc", "threads": 7}}, place.state)
    capsys.readouterr()
    stage.work(load("sample", own), False)
    said = capsys.readouterr().out
    assert f"starts anew: {place.state} was written with other code, threads\n" in said
    ends_as(place, whole)


def test_a_state_of_another_network_is_refused_by_name(own, monkeypatch, capsys):
    place = stop_after(own, 2, monkeypatch)
    kept = torch.load(place.state, weights_only=True)
    del kept["state"]["network"]["likes.weight"]
    torch.save(kept, place.state)
    assert cli.exit_code(lambda: stage.work(load("sample", own), False)) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert str(place.state) in said
    assert "is no state of this fit (RuntimeError: Error" in said
    assert said.endswith("; delete it, or add --force")
    assert not place.path.exists()
    stage.work(load("sample", own), True)
    assert place.done
    assert not place.state.exists()


def test_other_settings_do_not_find_the_state_and_force_does_not_want_it(
    own, whole, capsys, monkeypatch
):
    stop_after(own, 2, monkeypatch)
    capsys.readouterr()
    stage.work(load("sample", [*own, "qin.fit.learning_rate=2e-3"]), False)
    assert "goes on" not in capsys.readouterr().out
    stage.work(load("sample", own), True)
    assert "goes on" not in capsys.readouterr().out
    ends_as(place_of(own), whole)


def test_a_fit_that_diverges_leaves_no_state_to_diverge_from_again(own, monkeypatch):
    place = stop_after(own, 2, monkeypatch)

    def diverge(*_, **__):
        raise FloatingPointError("epoch 3: training loss nan")

    monkeypatch.setattr(context, "fit", diverge)
    with pytest.raises(InputError, match=r"epoch 3: training loss nan; lower qin\.fit\.learning"):
        stage.work(load("sample", own), False)
    assert not place.state.exists()


def test_a_state_that_outlived_its_fit_is_swept(tmp_path):
    done, begun = (ArtifactSpec("50_train", name, tmp_path, {"n": 1}) for name in ("a", "b"))
    for place in (done, begun):
        place.state.touch()
    done.path.mkdir()
    with write_artifact(ArtifactSpec("50_train", "c", tmp_path)):
        pass
    assert not done.state.exists()
    assert begun.state.exists()


def test_a_state_is_kept_when_it_is_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    with write_artifact(ArtifactSpec("50_train", "a", tmp_path)) as out:
        resume, written = FitCheckpointer(out, "it", 60.0, torch.device("cpu")), []
        for now[0] in (30.0, 59.0, 61.0, 90.0, 120.5, 121.5):
            resume.save(lambda: written.append(now[0]) or {"report": {"epochs": []}})
    assert written == [61.0, 121.5]


FULL = """
import importlib, resource, sys
from pipeline import command, training
from pipeline.settings import load
def fill(key, epoch, record):
    if epoch == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1))
fits._say = fill
work = importlib.import_module("pipeline.50_train").work
sys.exit(cli.exit_code(lambda: work(load("sample", sys.argv[1:]), False)))
"""


def test_a_disk_that_fills_up_in_a_fit_is_said_and_the_fit_goes_on_when_there_is_space(
    own, whole, capsys
):
    begun = [sys.executable, "-c", FULL, *own]
    done = subprocess.run(begun, cwd=ROOT, capture_output=True, text=True, check=False)
    place = place_of(own)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"error: {place.folder} takes no more: the disk is full or a limit")
    assert [path.name for path in place.folder.iterdir()] == [place.state.name]
    stage.work(load("sample", own), False)
    assert "goes on after epoch 2\n" in capsys.readouterr().out
    ends_as(place, whole)


# Memory


def too_much(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")


def test_a_fit_that_needs_too_much_memory_names_the_setting(own, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(fit, "train_epoch", too_much)
        assert cli.exit_code(lambda: stage.work(load("sample", own), False)) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said == (
        "error: 50_train qin seed 0 fold 0 needs more memory than cpu has; lower"
        " qin.fit.batch_size; then keep the rows on the host, train.rows=host"
    )
    assert not any(place_of(own).folder.iterdir())


def test_other_stages_that_need_too_much_memory_name_a_setting(words, capsys, monkeypatch):
    work = import_module("pipeline.55_mask").work
    monkeypatch.setattr(history_use, "examine", too_much)
    assert cli.exit_code(lambda: work(load("sample", words), False)) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: 55_mask needs more memory than cpu has; keep the rows on the")


def test_what_torch_says_on_a_cpu_is_understood_and_other_errors_are_left_alone():
    cpu = torch.device("cpu")
    with (
        pytest.raises(InputError, match="it needs more memory than cpu has; do"),
        enough_memory(cpu, "it", "do"),
    ):
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="size"), enough_memory(cpu, "it", "do"):
        torch.ones(2) @ torch.ones(3)


# Children


def alive(session: int) -> list[str]:
    """Names of the processes of a session that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, state = path.read_text().rpartition(")")[::2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        state = state.split()
        if int(state[3]) == session and state[0] != "Z":
            found.append(name)
    return found


def test_workers_end_with_a_stage_that_was_killed(own):
    forever = ["network.fit.max_epochs=100000", "network.fit.patience=100000", "train.workers=2"]
    begun = [sys.executable, "-m", "pipeline.50_train", "sample", *own, *forever]
    process = subprocess.Popen(
        begun, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    seen = set()
    for line in process.stdout:
        seen |= {line.split()[5] for _ in [0] if " epoch " in line}
        if len(seen) == 2:  # both workers are training
            break
    assert len(alive(process.pid)) >= 3
    process.kill()
    process.wait()
    for _ in range(300):  # 30 s; joblib's resource tracker clears up after the others
        if not alive(process.pid):
            break
        time.sleep(0.1)
    assert alive(process.pid) == []
