"""Fits on a Dask cluster, and what ends them."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import distributed
import pytest

from features.errors import InputError
from pipeline.config.settings import TrainSettings
from pipeline.training.executors import dask as dask_executor
from pipeline.training.executors.dispatch import run_tasks
from tests.helpers.tasks import fail
from tests.helpers.tiny_runs import ROOT
from tests.pipeline.training.executors.runs import (
    TWO_CORES,
    assert_same_bytes,
    first_fit,
    noted,
    trained_twice,
    training,
)


@pytest.fixture(scope="module")
def cluster():
    """A Dask scheduler on the loopback and two workers with a thread each."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options, silence_logs=60) as cluster:
        yield cluster


@pytest.fixture
def on_cluster(cluster):
    return TrainSettings(backend="dask", scheduler=cluster.scheduler_address)


@contextlib.contextmanager
def one_worker(n_threads: int):
    """Settings of a cluster with a single worker."""
    options = {"n_workers": 1, "threads_per_worker": n_threads, "dashboard_address": None}
    options |= {"protocol": "tcp", "processes": False, "silence_logs": 60}
    with distributed.LocalCluster(**options) as cluster:
        yield TrainSettings(backend="dask", scheduler=cluster.scheduler_address)


def test_a_cluster_that_loses_a_worker_writes_the_bytes_of_a_serial_run(
    cluster, overrides, prepared
):
    dask = ["train.backend=dask", f"train.scheduler={cluster.scheduler_address}"]
    with (
        training(*overrides, *dask) as process,
        distributed.Client(cluster.scheduler_address, set_as_default=False) as client,
    ):
        workers = client.run(os.getpid)
        output, finished = first_fit(process)
        inode = finished.stat().st_ino
        os.kill(next(iter(workers.values())), signal.SIGKILL)
        output += process.stdout.read()
        assert process.wait() == 0, output
    assert_same_bytes(overrides, prepared)
    assert finished.stat().st_ino == inode
    assert trained_twice(output) == []


def test_a_fit_that_kills_every_worker_ends_the_run(cluster, on_cluster, tmp_path):
    with pytest.raises(InputError, match=r"killed 4 workers of tcp://.* memory .*unfinished: .*c"):
        noted(tmp_path, on_cluster, deadly="c", always=True)
    cluster.wait_for_workers(2, timeout=30)


def test_a_worker_that_does_not_see_the_folder_is_refused(on_cluster, tmp_path, monkeypatch):
    class Elsewhere:
        name = "/nowhere/beacon"

    monkeypatch.setattr(
        "tempfile.NamedTemporaryFile", lambda dir: contextlib.nullcontext(Elsewhere)
    )
    with pytest.raises(InputError, match=r"Dask worker .* does not see /nowhere: mount that fol"):
        noted(tmp_path, on_cluster)


def test_an_error_on_a_worker_is_the_error_of_the_run(on_cluster, tmp_path):
    with pytest.raises(InputError, match="bad input"):
        list(run_tasks(fail, {"a": (), "b": ()}, on_cluster, TWO_CORES, tmp_path))


def test_a_run_that_fails_leaves_nothing_that_the_next_one_waits_for(on_cluster, tmp_path):
    """Tasks that end while the client closes: many, since it takes a coincidence."""
    tasks = dict.fromkeys("abcdefgh", ())
    for _ in range(30):
        with pytest.raises(InputError, match="bad input"):
            list(run_tasks(fail, tasks, on_cluster, TWO_CORES, tmp_path))


def test_a_worker_with_other_code_is_refused(on_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor.provenance, "code", lambda: "other")
    with pytest.raises(InputError, match="runs other code in"):
        noted(tmp_path, on_cluster)


def test_a_worker_with_several_threads_is_refused(tmp_path):
    with (
        one_worker(n_threads=2) as train_cfg,
        pytest.raises(InputError, match=r"has 2 threads, .*--nthreads 1"),
    ):
        noted(tmp_path, train_cfg)


def test_a_single_worker_runs_all_tasks(tmp_path):
    with one_worker(n_threads=1) as train_cfg:
        assert sorted(noted(tmp_path, train_cfg)) == [(n, n.upper()) for n in "abcdef"]


def test_a_missing_scheduler_and_a_scheduler_without_workers_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "TIMEOUT_S", 1)
    train_cfg = TrainSettings(backend="dask", scheduler="tls://127.0.0.1:9")
    with pytest.raises(InputError, match="tls:// needs certificates; name them"):
        noted(tmp_path, train_cfg)
    train_cfg = TrainSettings(backend="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match=r"^train.scheduler=tcp://127.0.0.1:9: no Dask scheduler"):
        noted(tmp_path, train_cfg)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=60) as cluster:
        train_cfg = TrainSettings(backend="dask", scheduler=cluster.scheduler_address)
        with pytest.raises(InputError, match=r"has no worker; .*dask_worker"):
            noted(tmp_path, train_cfg)


def test_a_scheduler_that_is_killed_is_named(tmp_path):
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    command += ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", f"{tmp_path}/file.json"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    with subprocess.Popen(command, **quiet) as scheduler:
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1"]
        worker += ["--scheduler-file", f"{tmp_path}/file.json", "--no-dashboard"]
        with subprocess.Popen(worker, **quiet) as worker:
            try:
                with distributed.Client(scheduler_file=f"{tmp_path}/file.json") as client:
                    client.wait_for_workers(1, timeout=60)
                    address = client.scheduler.address
                train_cfg = TrainSettings(backend="dask", scheduler=address)
                results = run_tasks(
                    time.sleep, {"a": (0,), "b": (600,)}, train_cfg, TWO_CORES, tmp_path
                )
                assert next(results) == ("a", None)
                scheduler.kill()
                with pytest.raises(InputError, match=rf"{address} is gone; .* 1 fits are not fin"):
                    next(results)
            finally:
                scheduler.kill()
                worker.kill()


def test_dask_is_imported_only_on_request():
    code = "import pipeline.training.fits, sys; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
