"""Workers, their GPUs, and workers that are killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import optuna
import pytest
from optuna.trial import TrialState

from features.errors import InputError
from pipeline import graph
from pipeline.config.load import load
from pipeline.tuning import stale_trials, workers
from pipeline.tuning.stale_trials import WORKER
from pipeline.tuning.storage import JournalLock, journal_path
from pipeline.tuning.studies import FINISHED, count
from tests.helpers.tiny_runs import ROOT
from tests.pipeline.tuning.runs import fake_fits, is_free, search_of, states, study_of

stage = import_module("pipeline.40_tune")
LONG = ["tune.trials=6", "network.fit.max_epochs=20", "network.fit.patience=20"]  # a second each


def test_workers_are_distributed_over_the_gpus(search, monkeypatch):
    all_slots = []

    def run_processes(search, slots):
        all_slots.append(slots)
        workers.work(search, 0)

    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    monkeypatch.setattr(workers, "run_processes", run_processes)
    monkeypatch.setattr(workers.devices.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    for n_workers, n_trials in ((0, 9), (3, 12)):
        s = search.settings
        tune_cfg, train_cfg = replace(s.tune, trials=n_trials), replace(s.train, workers=0)
        s = replace(s, tune=tune_cfg, train=train_cfg)
        workers.run(replace(search, settings=s), n_workers)
    assert all_slots == [["4", "6"], ["4", "6", "4"]]


def test_a_worker_takes_its_gpu_before_it_starts(search, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(workers.processes, "die_with_parent", lambda parent: None)
    monkeypatch.setattr(workers.devices, "take", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(workers, "work", lambda *arguments: calls.append(arguments))
    with pytest.raises(SystemExit, match="0"):
        workers._worker_main(1, ["4", "6"], tmp_path, search, 1)
    assert calls == [(["4", "6"], tmp_path), (search, 1)]
    with pytest.raises(SystemExit, match="0"):
        workers._worker_main(1, ["", ""], tmp_path, search, 0)
    assert calls[2:] == [(search, 0)]


def test_a_missing_device_is_refused(own):
    search = search_of([*own, "tune.trials=9", "train.device=cuda:3"])
    with pytest.raises(InputError, match=r"train.device = 'cuda:3', but torch sees 0 CUDA"):
        workers.run(search, 2)


# Killed workers


def start(*arguments: str) -> subprocess.Popen:
    """The stage by its command line, in a process group of its own."""
    command = [sys.executable, "-m", "pipeline.40_tune", "sample", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, start_new_session=True)  # fmt: skip


@contextlib.contextmanager
def two_workers(overrides: list[str]):
    """Two workers on one study while the body runs; afterwards their stage finishes."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(stage.work, load("sample", overrides), False, 2)
        yield done
        done.result(timeout=300)


def stop_workers(overrides: list[str], n: int, has_ended) -> list[int]:
    """Stop (SIGSTOP) `n` workers, each within a trial; their processes."""
    journal = journal_path(load("sample", overrides))
    journal.parent.mkdir(exist_ok=True)  # with a database it is not there
    lock = JournalLock(journal)
    deadline, stopped, study = time.monotonic() + 300, [], study_of(overrides)
    while len(stopped) < n:
        assert time.monotonic() < deadline, f"{n} workers were not seen at work"
        assert not has_ended(), f"the study ended before {n} workers were seen at work"
        for pid in [pid for pid in running(study) if pid not in stopped][:1]:
            os.kill(pid, signal.SIGSTOP)
            if pid in running(study) and is_free(lock):
                stopped.append(pid)
            else:  # its trial has just ended, or it holds the lock that the others wait for
                os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
    return stopped


def running(study: optuna.Study) -> set[int]:
    """Processes of the running trials that have drawn all their settings."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    drawn = [trial for trial in trials if len(trial.params) == 6]
    return {int(trial.user_attrs[WORKER].split(":")[1]) for trial in drawn}


def finished_states(overrides: list[str], n_required: int) -> list[str]:
    """The states of a study's trials, once it is asserted that it ended as it should."""
    found = states(study_of(overrides))
    assert sum(found.count(state.name) for state in FINISHED) == n_required, found
    assert "RUNNING" not in found
    spec = graph.tunings(load("sample", overrides))["qin"]
    rows = json.loads((spec.path / "tune.json").read_text())["trials"]
    assert len([row for row in rows if row["state"] in ("COMPLETE", "PRUNED")]) == n_required
    return found


def test_the_other_worker_runs_the_trial_of_a_killed_one(own, capsys):
    overrides = [*own, *LONG]
    search_of(overrides).create()
    with two_workers(overrides) as done:
        (victim,) = stop_workers(overrides, 1, done.done)
        os.kill(victim, signal.SIGKILL)
    assert f"worker {victim} was killed" in capsys.readouterr().out
    assert finished_states(overrides, 6).count("FAIL") == 1
    trials = study_of(overrides).trials
    (lost,) = [trial for trial in trials if trial.state == TrialState.FAIL]
    retried = [t for t in trials if t.system_attrs.get("failed_trial") == lost.number]
    assert [trial.params for trial in retried] == [lost.params]


def test_a_study_whose_workers_were_all_killed_is_repaired_and_resumes(own, capsys):
    overrides = [*own, *LONG]
    search_of(overrides).create()
    process = start(*overrides, "--workers", "2")
    stop_workers(overrides, 2, lambda: process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert states(study_of(overrides)).count("RUNNING") == 2
    with journal_path(load("sample", overrides)).open("a") as file:
        file.write('{"op_code":8,"worker_id":"torn')  # as a full disk leaves it
    stage.repair(load("sample", overrides))
    output = capsys.readouterr().out
    assert output.count("failed, its settings are queued again") == 2
    assert "repaired: 0 trials are running" in output
    stage.work(load("sample", overrides), False, 1)
    assert finished_states(overrides, 6).count("FAIL") == 2


def test_workers_end_with_a_killed_stage_and_the_settings_of_their_trials_are_queued_again(own):
    overrides = [*own, *LONG, "network.fit.max_epochs=100000", "network.fit.patience=100000"]
    search_of(overrides).create()
    process, study = start(*overrides, "--workers", "2"), study_of(overrides)
    while len(running(study)) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    output, _ = process.communicate()  # returns when the workers have ended: they share the pipe
    assert running(study) == set(), output
    assert states(study).count("FAIL") == 2, output
    assert states(study).count("WAITING") == 2, output


def test_a_database_notices_a_killed_worker_by_its_heartbeats(postgres, own, capsys):
    overrides = [*own, *LONG, f"tune.storage={postgres}", "tune.heartbeat=1"]
    search_of(overrides).create()
    with two_workers(overrides) as done:
        (victim,) = stop_workers(overrides, 1, done.done)
        os.kill(victim, signal.SIGKILL)
    assert f"worker {victim} was killed" in capsys.readouterr().out
    assert finished_states(overrides, 6).count("FAIL") == 1
    assert not journal_path(load("sample", overrides)).exists()


def test_only_trials_of_another_machine_are_called_waited_for(search, monkeypatch, capsys):
    """In an ordinary run, a worker waits for trials of the others, and nobody need know."""
    fake_fits(monkeypatch, lambda rate, fold: 0.6)
    for worker, lines in ((stale_trials.this_worker(), 0), ("elsewhere:1:1", 1)):
        study = search.create()
        others = [study.ask() for _ in range(2)]
        for trial in others:
            trial.set_user_attr(WORKER, worker)
        naps = iter(range(3))

        def nap(_, naps=naps, others=others, study=study):
            if next(naps) == 2:
                for trial in others:
                    study.tell(trial, state=TrialState.FAIL)

        monkeypatch.setattr(workers.time, "sleep", nap)
        tune_cfg = replace(search.settings.tune, trials=count(study, *FINISHED) + 2)
        workers.work(replace(search, settings=replace(search.settings, tune=tune_cfg)), 0)
        output = capsys.readouterr().out
        assert output.count("another machine still runs trials") == lines, output
