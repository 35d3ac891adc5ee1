"""train.log: what trackers get of fits, and that fits do not depend on it."""

import sys
from importlib import import_module

import pytest

from features.errors import InputError
from pipeline import graph
from pipeline.artifacts.spec import record
from pipeline.config.load import load
from pipeline.runtime import cli
from pipeline.training import fits
from pipeline.training.tracking import fit_runs, trackers
from pipeline.training.tracking.base import UNTRACKED
from pipeline.training.tracking.tensorboard import _EventFile
from pipeline.training.tracking.trackers import tracker
from tests.helpers import fake_mlflow
from tests.helpers.trackers import approx, curve, install_mlflow, settings_of
from tests.pipeline.training.fit_runs import FILES, KEY, LAST_EPOCH

stage = import_module("pipeline.50_train")
TOOLS = ("tensorboard", "mlflow")


@pytest.fixture(autouse=True)
def mlflow(monkeypatch):
    install_mlflow(monkeypatch)


def assert_logged(s, spec) -> None:
    """The run of a fit has each epoch of its record once, its scores and its settings."""
    report, name = record(spec.path)["report"], spec.path.name
    for tag, key in (("loss/train", "loss"), ("auc/stop", "score")):
        expected = [(epoch, one[key]) for epoch, one in enumerate(report["epochs"], start=1)]
        assert curve(s, "50_train", name, tag) == approx(expected)
    assert curve(s, "50_train", name, "auc/held") == approx([(0, report["auc"])])
    logged = settings_of(s, "50_train", name)
    assert logged["model"] == "qin"
    assert logged["network.fit.learning_rate"] == str(s.networks["qin"].fit.learning_rate)
    assert logged["command"].startswith("python -m pipeline sample data.users=300")


@pytest.mark.parametrize("tool", TOOLS)
def test_fits_are_logged_and_keep_their_names_and_bytes(own, whole, tool, capsys):
    workers = 2 if tool == "tensorboard" else 1  # a fake lives in one process
    s = load("sample", [*own, f"train.log={tool}", f"train.workers={workers}"])
    stage.work(s, False)
    assert f"50_train curves: {tool} " in capsys.readouterr().out
    for spec in graph.fits(s).values():
        assert_logged(s, spec)
    spec = graph.fits(s)[KEY]
    assert spec.path.name == whole.path.name
    for name in FILES:
        assert (spec.path / name).read_bytes() == (whole.path / name).read_bytes(), name


@pytest.mark.parametrize("tool", TOOLS)
def test_a_fit_that_resumes_has_each_epoch_once(own, tool, monkeypatch):
    overrides = [*own, f"train.log={tool}"]
    s = load("sample", overrides)

    def interrupt(key, epoch, record):
        if epoch > 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fits, "_print_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stage.work(s, False)
    spec = graph.fits(s)[KEY]
    steps = [step for step, _ in curve(s, "50_train", spec.path.name, "loss/train")]
    assert steps == [1, 2, 3]  # live: they are there before the fit has ended
    stage.work(s, False)
    assert len(record(spec.path)["report"]["epochs"]) == LAST_EPOCH
    assert_logged(s, spec)


@pytest.mark.parametrize("tool", TOOLS)
def test_finished_fits_are_logged_from_their_records_once(trained, tool, monkeypatch):
    s = load("sample", [*trained, f"train.log={tool}"])
    stage.work(s, False)
    for spec in graph.fits(s).values():
        assert_logged(s, spec)
    monkeypatch.setattr(fit_runs, "start_run", lambda *_: pytest.fail("it is there"))
    stage.work(s, False)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_curve_that_was_cut_off_is_logged_from_the_record_of_its_fit(trained, tool):
    s = load("sample", [*trained, f"train.log={tool}"])
    stage.work(s, False)
    spec = graph.fits(s)[KEY]
    with fit_runs.start_run(s, KEY, spec) as run:
        run.log(1, {"loss/train": 9.0})  # and no `finish`
    assert not tracker(s).has("50_train", spec.path.name)
    stage.work(s, False)
    assert_logged(s, spec)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_run_that_starts_again_replaces_the_earlier_one(own, tool):
    s = load("sample", [*own, f"train.log={tool}"])
    for values in ((0.1, 0.2, 0.3, 0.4), (0.5, 0.6)):
        with tracker(s).start("g", "one", {"learning_rate": 1e-3, "layers": (1, 2)}) as run:
            for step, value in enumerate(values, start=1):
                run.log(step, {"auc/stop": value})
            run.finish({"auc/held": values[-1]})
    assert curve(s, "g", "one", "auc/stop") == approx([(1, 0.5), (2, 0.6)])
    assert curve(s, "g", "one", "auc/held") == approx([(0, 0.6)])
    assert settings_of(s, "g", "one") == {"learning_rate": "0.001", "layers": "(1, 2)"}


# What goes wrong


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("module", ["pipeline.__main__", "pipeline.50_train", "pipeline.40_tune"])
def test_a_package_that_is_not_installed_is_named_before_anything_runs(
    tool, module, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    typed = ["sample", f"artifacts={tmp_path}/a", f"train.log={tool}", "tune.trials=1"]
    monkeypatch.setattr("sys.argv", [module, *typed])
    with pytest.raises(SystemExit) as ended:
        import_module(module).main()
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert f"python -m pip install {tool}" in error
    assert not (tmp_path / "a").exists()


def test_a_package_that_cannot_be_imported_is_named(own, monkeypatch):
    def fail(name):
        raise ImportError("cannot import name 'x' from 'google.protobuf'")

    monkeypatch.setattr("pipeline.training.tracking.tensorboard.importlib.import_module", fail)
    with pytest.raises(InputError, match=r"^train.log=tensorboard: .*cannot import name 'x'"):
        tracker(load("sample", [*own, "train.log=tensorboard"]))


def test_a_full_disk_ends_with_one_line(capsys):
    def work():
        with open("/dev/full", "wb") as file:
            _EventFile(file).begin({"learning_rate": 1e-3})

    assert cli.exit_code(work) == 2
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "status"), [(ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_mlflow_knows_how_a_run_ended(own, raised, status):
    tool = tracker(load("sample", [*own, "train.log=mlflow"]))
    with pytest.raises(type(raised)), tool.start("g", "one", {}):
        raise raised
    assert [run.info.status for run in tool._runs("g", "one")] == [status]


@pytest.mark.parametrize("raised", [ValueError("x"), KeyboardInterrupt(), InputError("full")])
def test_what_ended_a_run_stays_the_error_where_the_server_is_gone_as_well(own, raised):
    tool = tracker(load("sample", [*own, "train.log=mlflow"]))

    def gone(*_):
        raise tool.error("connection refused")

    tool.client.set_terminated = gone
    with pytest.raises(type(raised)) as ended, tool.start("g", "one", {}):
        raise raised
    assert ended.value is raised
    [note] = raised.__notes__
    assert "connection refused" in note


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "open http://host:5000"),
        ("HTTPS://host/a?b", "open 'HTTPS://host/a?b'"),
        ("https://me:hunter2@host", "open 'https://me:…@host'"),
        ("mysql://me:hunter2@host/db", "mlflow ui --backend-store-uri 'mysql://me:…@host/db'"),
    ],
)
def test_a_server_is_opened_and_its_password_is_not_shown(own, uri, shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", fake_mlflow.module())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tool = tracker(load("sample", [*own, "train.log=mlflow"]))
    assert tool.open("g") == shown

    def gone(*_):
        raise tool.error(f"{uri} is gone")

    tool.client.get_experiment_by_name = gone
    with pytest.raises(InputError, match="is gone; the same command resumes") as ended:
        tool.open("g")
    assert "hunter2" not in str(ended.value)


def test_a_server_that_is_gone_ends_the_fit_with_one_line(own):
    tool = tracker(load("sample", [*own, "train.log=mlflow"]))

    def gone(*_, **__):
        raise tool.error("connection\nrefused")

    with tool.start("g", "one", {}) as run:
        tool.client.log_batch = gone
        with pytest.raises(InputError, match="connection refused; the same command resumes"):
            run.log(1, {"auc/stop": 0.5})


def test_without_a_tool_nothing_is_written(own):
    s = load("sample", own)
    assert tracker(s) is UNTRACKED
    with UNTRACKED.start("g", "one", {}) as run:
        run.log(1, {})
        run.finish({})
