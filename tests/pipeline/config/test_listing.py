"""./run_all.sh PROFILE --settings [PREFIX], and docs/configuration.md."""

import subprocess
import sys

import pytest

from features.errors import InputError
from pipeline.config import document, listing, paths
from pipeline.config.load import load


def listed(overrides=(), prefix="", **options) -> dict[str, list[str]]:
    """The cells of every line by key: value, source, what is expected, meaning."""
    lines = listing.text(load("sample", list(overrides)), prefix, **options).splitlines()
    cells = [line.split("\t") for line in lines]
    return {
        key: [value, *rest] for (head, *rest) in cells for key, _, value in [head.partition(" = ")]
    }


def test_every_level_is_named_beside_the_value_in_force():
    found = listed(["network.max_len=8", "qin.qnn.layers=3", "tune.storage=postgresql://me@host/d"])
    assert found["qin.max_len"][:2] == ["8", "typed: network.max_len=8"]
    assert found["qin.qnn.layers"][:2] == ["3", "typed: qin.qnn.layers=3"]
    assert found["qin.fit.batch_size"][:2] == ["512", "profile: sample.toml [network.fit]"]
    assert found["qin.qnn.bank"][:2] == ["collapsed", "network: qin.toml"]
    assert found["qin.fit.clip_norm"][:2] == ["10.0", "default"]
    assert found["final.final.block1"][0] == "128,128"
    assert found["data.source"][:2] == ["sample", "profile: sample.toml [data]"]
    assert found["data.users"][2] == "a whole number in [1, 10^8]"
    assert "me@" not in found["tune.storage"][0]
    assert found["blend.external"][0] == '""'
    assert not any(key.startswith("qin.mlp") for key in found)  # qin has no MLP
    assert all(len(cells) == 4 for cells in found.values())


def test_a_prefix_is_a_key_or_a_section():
    assert set(listed(prefix="folds")) == {
        f"folds.{key}" for key in ("mode", "n", "seed", "stop_users")
    }
    assert set(listed(prefix="qin.max_len")) == {"qin.max_len"}
    of_all = {f"{model}.max_len" for model in ("qin", "final", "din", "qin_columns")}
    assert set(listed(prefix="network.max_len")) == of_all
    assert set(listed(["models=qin,qin_silu"], "qin")) == {
        key for key in listed(["models=qin,qin_silu"]) if key.startswith("qin.")
    }


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("tran", "no setting of this run begins so, did you mean 'train'?"),
        ("lr", "did you mean 'network.fit.learning_rate'?"),
        ("qin.fit.lerning_rate", "did you mean 'qin.fit.learning_rate'?"),
        ("network.fit.nope", "begins so; network.fit has batch_size, "),
        ("qin.fit.nope", "begins so; qin.fit has batch_size, "),
        ("data.url", "--settings data.url: not read with data.source=sample"),
        ("qin.mlp", "not read, the parts of qin are asta and qnn, no columns, its loss bce"),
        ("models=qin", "PROFILE and key=value stand before --settings"),
    ],
)
def test_an_unknown_prefix_names_the_nearest(prefix, message):
    with pytest.raises(InputError) as error:
        listed(prefix=prefix)
    assert message in str(error.value)


def test_what_a_study_decides_is_named():
    tuned = ["train.settings=tuned", "models=qin,din"]
    found = listed(tuned, studied={"qin": None})
    assert found["qin.fit.learning_rate"][:2] == [listing.UNFINISHED, "study: 40_tune"]
    assert found["qin.max_len"][1] == "network: qin.toml"
    best = load("sample", ["qin.fit.learning_rate=0.5"]).networks["qin"]
    found = listed(tuned, studied={"qin": best})
    assert found["qin.fit.learning_rate"][:2] == ["0.5", "study: 40_tune"]
    assert found["din.fit.learning_rate"][1] == "profile: sample.toml [network.fit]"


def test_on_a_terminal_lines_are_wrapped_below_their_key():
    text = listing.text(load("sample", []), "train", width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert "train.rows = auto        default\n    Where training rows lie:" in text


def test_the_command_prints_trains_nothing_and_loads_no_torch(tmp_path):
    arguments = ["sample", f"artifacts={tmp_path / 'a'}", "--settings", "qin.fit"]
    code = (
        f"import sys; sys.argv = ['run_all.sh', *{arguments!r}]\n"
        "import atexit, pipeline.__main__ as run\n"
        "atexit.register(lambda: print('torch' in sys.modules))\n"
        "run.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.REPOSITORY, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[-1]) == (0, "False"), done.stderr
    assert all(line.startswith("qin.fit.") for line in lines[:-1])
    assert not (tmp_path / "a").exists()


def test_the_page_is_what_the_schema_makes_of_it():
    made = document.text()
    assert document.PAGE.read_text(encoding="utf-8") == made, (
        "run python -m pipeline.config.document"
    )
    for key in ("`rules`", "`data.negatives`", "`tune.pruner`", "`qnn.bank`", "`fit.embedding_l2`"):
        assert f"| {key} |" in made
