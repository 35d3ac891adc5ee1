"""Which settings of a network a study may change, and which spaces are refused."""

import re

import pytest

from features.errors import InputError
from pipeline.config import paths, search_space
from pipeline.config.load import load
from pipeline.config.networks import model_names, model_path, paper_settings


@pytest.mark.parametrize("profile", sorted(p.stem for p in paths.PROFILES.glob("*.toml")))
@pytest.mark.parametrize(
    "path", sorted((paths.MODELS / "spaces").glob("*.toml")), ids=lambda p: p.stem
)
def test_a_space_contains_the_published_settings_and_those_of_every_profile(path, profile):
    model = path.stem
    present = load(profile, [f"models={model}"]).networks[model]
    space = search_space.load(model, present)
    for network in (present, paper_settings(model)):
        values = search_space.values(network, space)
        assert search_space.outside(values, space) == []
        assert search_space.apply(network, values, model) == network


def test_every_problem_of_a_space_is_reported_at_once(write_space):
    write_space("""
        embedding_dim = 4
        [fit]
        learning_rat = { type = "float", low = 1e-4, high = 1e-2 }
        patience = { type = "int", low = 5, high = 2 }
        decay = { type = "floot", low = 0.1, high = 0.2 }
        clip_norm = { type = "float", low = 0.0, high = 2.0, log = true }
        batch_size = { type = "int", low = 8.5, hihg = 9 }
        min_learning_rate = { type = "float", low = 0.0, high = 1.0, step = 0.3 }
        loss = { type = "categorical", choices = ["bce"] }
    """)
    with pytest.raises(InputError) as error:
        search_space.load("din", paper_settings("din"))
    message = str(error.value)
    for expected in (
        "models/spaces/din.toml: ",
        "embedding_dim = 4 must be a table",
        "fit.patience: low = 5 must be below high = 2",
        "fit.decay.type = 'floot' must be one of float, int, categorical, did you mean 'float'?",
        "fit.clip_norm: log = true needs low = 0.0 above 0",
        "fit.batch_size.low = 8.5 must be a whole number",
        "unknown key 'fit.batch_size.hihg', did you mean 'fit.batch_size.high'?",
        "fit.min_learning_rate: high = 1.0 must be low = 0.0 and a number of steps",
        "fit.loss: choices = ['bce'] must be at least two",
    ):
        assert expected in message


def test_a_space_must_fit_the_network(write_space):
    write_space("""
        [fit]
        learning_rat = { type = "float", low = 1e-4, high = 1e-2 }
        decay = { type = "float", low = 0.1, high = 1.5 }
        loss = { type = "categorical", choices = ["bce", "bze"] }
        [qnn]
        layers = { type = "int", low = 1, high = 2 }
    """)
    with pytest.raises(InputError) as error:
        search_space.load("din", paper_settings("din"))
    message = str(error.value)
    assert "unknown key 'fit.learning_rat', did you mean 'fit.learning_rate'?" in message
    assert "fit.decay = 1.5 must be a number in (0, 1]" in message
    assert "fit.loss = 'bze' must be one of" in message
    assert "qnn.layers: not read, the parts are din and mlp" in message


def test_several_widths_are_a_choice(write_space):
    write_space('[mlp]\nhidden = { type = "categorical", choices = ["64,32", "1024,512,256"] }')
    network = paper_settings("din")
    space = search_space.load("din", network)
    assert search_space.values(network, space) == {"mlp.hidden": "1024,512,256"}
    assert search_space.apply(network, {"mlp.hidden": "64,32"}, "din").mlp.hidden == (64, 32)


def test_the_error_for_a_network_without_a_space_names_those_with_one():
    with pytest.raises(InputError, match=r"no search space models/spaces/qin_silu\.toml.*din, fin"):
        search_space.load("qin_silu", paper_settings("qin"))


def test_a_space_is_no_network():
    assert "spaces" not in model_names()
    assert model_names().count("qin") == 1
    assert model_path("qin").parent == paths.MODELS


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tune.trials=-1"], "tune.trials = -1 must be a whole number in [0, inf) trials"),
        (["tune.users=0.5", "train.rows=stream"], "not with train.rows=stream"),
        (["tune.users=1.5"], "tune.users = 1.5 must be a number in (0, 1]"),
        (["tune.pruner=asha"], "tune.pruner = 'asha' must be one of median, hyperband"),
        (["train.settings=best"], "train.settings = 'best' must be one of given, tuned"),
        (["tune.trials=3", "tune.models=dni"], "tune.models: 'dni' is not among models=qin,final,"),
        (["tune.storage=postgresql://me:secret@host/db"], "put it into ~/.pgpass or PGPASSWORD"),
        (["tune.storage=postgresql://me:se/cret@host/db"], "put it into ~/.pgpass or PGPASSWORD"),
        (
            ["tune.storage=postgresql://me@host/db?password=se"],
            "put it into ~/.pgpass or PGPASSWORD",
        ),
    ],
)
def test_impossible_overrides_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load("sample", overrides)
