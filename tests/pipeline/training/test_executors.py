"""Fits in processes and on a cluster, and what ends them."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import distributed
import pytest

from features.errors import InputError
from pipeline import graph
from pipeline.config.load import TrainSettings, load
from pipeline.runtime import devices
from pipeline.training.executors import base
from pipeline.training.executors import dask as cluster_module
from pipeline.tuning import studies, trials
from pipeline.tuning.trials import Search
from tests.helpers.tasks import fail, gpu, note
from tests.test_run_all import ROOT, TINY

FILES = ("model.pt", "held.parquet", "valid.parquet", "test.parquet")
LOKY, TWO = TrainSettings(device="cpu"), ["", ""]
LONGER = [*TINY, "network.fit.max_epochs=6", "network.fit.patience=6"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a tiny sample's rows and folds, and the fits of one process."""
    folder = tmp_path_factory.mktemp("backends")
    words = [*LONGER, f"artifacts={folder}", "train.backend=serial"]
    s = load("sample", words)
    for stage in ("00_data", "10_prepare", "20_folds", "50_train"):
        import_module(f"pipeline.{stage}").work(s, False)
    return folder


@pytest.fixture
def words(prepared, tmp_path):
    """The words of a run on those folds that has no fits yet."""
    shutil.copytree(prepared, tmp_path / "a", ignore=lambda *_: ["50_train"])
    return [*LONGER, f"artifacts={tmp_path}/a"]


@pytest.fixture(scope="module")
def cluster():
    """A Dask scheduler on the loopback and two workers with a thread each."""
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**how, silence_logs=60) as made:
        yield made


def fits(words: list[str]) -> dict:
    return graph.fits(load("sample", words))


def assert_same_bytes(words: list[str], prepared: Path) -> None:
    first = fits([*LONGER, f"artifacts={prepared}"])
    for key, place in fits(words).items():
        for file in FILES:
            assert (place.path / file).read_bytes() == (first[key].path / file).read_bytes()


@contextlib.contextmanager
def training(*words: str):
    """50_train in a process of its own, its output as it comes."""
    command = [sys.executable, "-m", "pipeline.50_train", "sample", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """Processes that `pid` started and that compute for it."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {int(p): Path(f"/proc/{p}/cmdline").read_text() for p in found}
    return [p for p, line in lines.items() if "popen_loky" in line]


def first_fit(process: subprocess.Popen) -> tuple[str, Path]:
    """What `process` says until it has a fit, and where that lies."""
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"50_train (\S+) epochs=", line):
            return said, Path(found[1])
    raise AssertionError(said)


def made_twice(said: str) -> list[str]:
    made = Counter(re.findall(r"50_train (\S+) epochs=", said))
    return [name for name, times in made.items() if times > 1]


def begun(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}


def noted(folder: Path, how: TrainSettings, **killed) -> list[tuple[str, str]]:
    folder = folder.resolve()
    tasks = {name: (folder, name, *killed.values()) for name in "abcdef"}
    return list(base.run_tasks(note, tasks, how, TWO, folder))


# Processes here


def test_a_killed_process_begins_again_and_what_is_finished_does_not(tmp_path, capfd):
    assert sorted(noted(tmp_path, LOKY, deadly="e")) == [(n, n.upper()) for n in "abcdef"]
    counts = begun(tmp_path)
    assert [counts[name] for name in "abc"] == [1, 1, 1]
    assert counts["e"] == 2
    assert re.search(r"a process was killed: [123] of 6 fits are left", capfd.readouterr().out)


def test_what_kills_its_process_every_time_is_named_and_takes_nobody_with_it(tmp_path):
    with pytest.raises(InputError, match=r"^c: its process is killed every time.* memory"):
        noted(tmp_path, LOKY, deadly="c", always=True)
    assert begun(tmp_path)["c"] == base.MAX_PARALLEL_ATTEMPTS + 1


def test_a_run_whose_process_is_killed_ends_complete_with_the_bytes_of_one(words, prepared):
    with training(*words, "train.workers=2") as process:
        first, finished = first_fit(process)
        inode = finished.stat().st_ino
        os.kill(children(process.pid)[0], signal.SIGKILL)
        said = first + process.stdout.read()
        assert process.wait() == 0, said
    assert "a process was killed" in said
    assert finished.stat().st_ino == inode
    assert made_twice(said) == []
    assert_same_bytes(words, prepared)


def test_every_process_has_a_gpu_to_itself_and_keeps_it(tmp_path):
    slots, tasks = ["3", "GPU-7"], {str(i): () for i in range(8)}
    found = {seen for _, seen in base.run_tasks(gpu, tasks, LOKY, slots, tmp_path)}
    assert sorted(dict(found)) == slots
    assert len(found) == 2


def test_a_gpu_is_free_again_when_its_process_is_killed(tmp_path):
    code = "from pipeline import devices as d; d.take(['4'], d.Path()); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env, **pipes) as holder:
        holder.stdout.readline()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices, "PATIENCE", 0.3)
            patch.setattr(devices, "HELD", [])
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            with pytest.raises(InputError, match="none of the GPUs 4 came free"):
                devices.take(["4"], tmp_path)
            holder.kill()
            holder.wait()
            devices.take(["4"], tmp_path)
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
            devices.HELD.pop().close()


def test_devices_are_those_that_the_launcher_shows(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    assert devices.gpus("auto") == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert devices.gpus("auto") == ["4", "6"]
    assert devices.gpus("cuda:1") == ["6"]
    assert devices.gpus("cpu") == []
    assert devices.device_slots(TrainSettings(), 10) == ["4", "6"]
    assert devices.device_slots(TrainSettings(workers=3), 10) == ["4", "6", "4"]
    assert devices.device_slots(TrainSettings(backend="serial"), 10) == [""]


def test_cores_are_shared_out_by_threads(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    how = TrainSettings(device="cpu")
    assert [len(devices.device_slots(replace(how, threads=n), 10)) for n in (1, 3, 16)] == [8, 2, 1]


# A cluster


def test_a_cluster_that_loses_a_worker_gives_the_bytes_of_one_process(cluster, words, prepared):
    dask = ["train.backend=dask", f"train.scheduler={cluster.scheduler_address}"]
    with (
        training(*words, *dask) as process,
        distributed.Client(cluster.scheduler_address, set_as_default=False) as client,
    ):
        workers = client.run(os.getpid)
        first, finished = first_fit(process)
        inode = finished.stat().st_ino
        os.kill(next(iter(workers.values())), signal.SIGKILL)
        said = first + process.stdout.read()
        assert process.wait() == 0, said
    assert_same_bytes(words, prepared)
    assert finished.stat().st_ino == inode
    assert made_twice(said) == []


def test_a_fit_that_kills_every_worker_ends_the_run(cluster, tmp_path):
    how = TrainSettings(backend="dask", scheduler=cluster.scheduler_address)
    with pytest.raises(InputError, match=r"killed 4 workers of tcp://.* memory .*unfinished: .*c"):
        noted(tmp_path, how, deadly="c", always=True)
    cluster.wait_for_workers(2, timeout=30)


def test_a_worker_that_does_not_see_the_folder_says_so(cluster, tmp_path, monkeypatch):
    how = TrainSettings(backend="dask", scheduler=cluster.scheduler_address)
    monkeypatch.setattr(
        "tempfile.NamedTemporaryFile", lambda dir: contextlib.nullcontext(Elsewhere)
    )
    with pytest.raises(
        InputError, match=r"Dask worker .* does not see /nowhere: mount that folder"
    ):
        noted(tmp_path, how)


class Elsewhere:
    name = "/nowhere/beacon"


def test_an_error_on_a_worker_is_the_error_of_the_run(cluster, tmp_path):
    how = TrainSettings(backend="dask", scheduler=cluster.scheduler_address)
    with pytest.raises(InputError, match="bad input"):
        list(base.run_tasks(fail, {"a": (), "b": ()}, how, TWO, tmp_path))


def test_a_run_that_fails_leaves_nothing_that_the_next_one_waits_for(cluster, tmp_path):
    """Tasks that end while the client closes: many, since it takes a coincidence."""
    how = TrainSettings(backend="dask", scheduler=cluster.scheduler_address)
    for _ in range(30):
        with pytest.raises(InputError, match="bad input"):
            list(base.run_tasks(fail, dict.fromkeys("abcdefgh", ()), how, TWO, tmp_path))


def test_a_worker_with_other_code_is_refused(cluster, tmp_path, monkeypatch):
    how = TrainSettings(backend="dask", scheduler=cluster.scheduler_address)
    monkeypatch.setattr("pipeline.artifacts.store.code", lambda: "other")
    with pytest.raises(InputError, match="has other code in"):
        noted(tmp_path, how)


def test_a_worker_with_several_threads_is_refused(tmp_path):
    how = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**how, protocol="tcp", processes=False, silence_logs=60) as made:
        how = TrainSettings(backend="dask", scheduler=made.scheduler_address)
        with pytest.raises(InputError, match=r"has 2 threads, .*--nthreads 1"):
            noted(tmp_path, how)


def test_a_single_worker_computes_and_not_this_process(tmp_path):
    how = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**how, protocol="tcp", processes=False, silence_logs=60) as made:
        how = TrainSettings(backend="dask", scheduler=made.scheduler_address)
        assert sorted(noted(tmp_path, how)) == [(n, n.upper()) for n in "abcdef"]


def test_a_scheduler_that_nobody_runs_or_that_has_no_worker_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "WAIT", 1)
    how = TrainSettings(backend="dask", scheduler="tls://127.0.0.1:9")
    with pytest.raises(InputError, match="tls:// needs certificates; name them"):
        noted(tmp_path, how)
    how = TrainSettings(backend="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match=r"^train.scheduler=tcp://127.0.0.1:9: no Dask scheduler"):
        noted(tmp_path, how)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=60) as made:
        how = TrainSettings(backend="dask", scheduler=made.scheduler_address)
        with pytest.raises(InputError, match=r"has no worker; .*dask_worker"):
            noted(tmp_path, how)


def test_the_folds_of_a_trial_are_trained_side_by_side(words, monkeypatch):
    given = [*words, "models=qin", "tune.trials=1", "tune.pruner=none"]
    asked = []

    def spread(work, tasks, how, slots, shared):
        asked.append((len(tasks), slots))
        return ((name, work(*arguments)) for name, arguments in tasks.items())

    s = load("sample", given)
    monkeypatch.setattr(base, "spread", spread)
    study = trials.run(Search.of(s, "qin"), workers=1)
    apart = study.trials[0]
    assert asked == [(2, devices.device_slots(s.train, 2))]
    shutil.rmtree(studies.journal(s).parent)
    s = load("sample", [*given, "train.backend=serial"])
    in_turn = trials.run(Search.of(s, "qin"), workers=1).trials[0]
    assert asked[1:] == []
    assert apart.user_attrs["fold_aucs"] == in_turn.user_attrs["fold_aucs"]
    assert apart.user_attrs["peak_mib"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.backend=threads"], "must be one of serial, loky, dask"),
        (["train.backend=dask"], "train.scheduler must be .* tcp://host:port"),
        (["train.scheduler=tcp://a:1"], "train.scheduler: not read without train.backend=dask"),
        (["train.backend=serial", "train.workers=2"], "train.backend=serial has one"),
        (
            ["train.backend=dask", "train.scheduler=tcp://me:secret@host:1"],
            "without user and password",
        ),
        (
            ["train.backend=dask", "train.scheduler=tcp://a:1", "train.workers=2"],
            "train.workers: not read with train.backend=dask",
        ),
        (
            ["train.backend=dask", "train.scheduler=tcp://a:1", "tune.trials=2"],
            "tune.pruner = 'median' looks between folds",
        ),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words, said):
    with pytest.raises(InputError, match=said) as error:
        load("sample", words)
    assert "secret" not in str(error.value)


def test_dask_is_imported_only_when_asked_for():
    code = "import pipeline.training.fits, sys; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
