"""Profiles and key=value overrides: what loads, and what is refused with which message."""

import dataclasses
import shutil

import pytest

from features.errors import InputError
from pipeline.config import load as load_config
from pipeline.config import paths
from pipeline.config.choices import OTHER_ROWS
from pipeline.config.load import load
from pipeline.config.networks import model_names


def refused(profile, *overrides) -> str:
    with pytest.raises(InputError) as error:
        load(str(profile), list(overrides))
    return str(error.value)


@pytest.mark.parametrize("profile", sorted(p.stem for p in paths.PROFILES.glob("*.toml")))
def test_every_profile_loads(profile):
    assert load(profile, []).networks.keys() == {"qin", "final", "din", "qin_columns"}
    assert load(profile, ["rules=strict"]).networks.keys() == {"qin", "final", "din", "qin_softmax"}


def test_overrides_change_what_they_name_and_nothing_else():
    plain = load("sample", [])
    changed = load("sample", ["qin.qnn.layers=3", "network.max_len=5", "train.seeds=0,1,2"])
    assert changed.networks["qin"].qnn.layers == 3
    assert {n.max_len for n in changed.networks.values()} == {5}
    assert changed.train.seeds == (0, 1, 2)
    assert changed.folds == plain.folds
    assert changed.networks["din"] == dataclasses.replace(plain.networks["din"], max_len=5)


def test_an_override_for_one_network_wins_over_one_for_all():
    s = load("sample", ["network.embedding_dim=8", "qin.embedding_dim=4"])
    assert {n: net.embedding_dim for n, net in s.networks.items()} == {
        "qin": 4,
        "final": 8,
        "din": 8,
        "qin_columns": 4,
    }


def test_lists_and_whole_numbers_are_read_as_meant():
    s = load("sample", ["models=qin", "qin.fit.learning_rate=1", "folds.n=3"])
    assert (s.models, s.networks["qin"].fit.learning_rate) == (("qin",), 1.0)
    assert list(s.networks) == ["qin"]


def test_every_problem_is_reported_at_once_with_the_nearest_key():
    message = refused(
        "sample", "fold.n=3", "qin.embeding_dim=4", "folds.seed=x", "data.user=5", "models=qin,dinn"
    )
    assert "unknown key 'fold', did you mean 'folds'?" in message
    assert "unknown key 'qin.embeding_dim', did you mean 'qin.embedding_dim'?" in message
    assert "folds.seed = 'x' must be a whole number" in message
    assert "unknown key 'data.user', did you mean 'data.users'?" in message
    assert "no model 'dinn', did you mean 'din'?" in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["folds"], "expected key=value"),
        (["folds=3"], "folds = 3 must be a section"),
        (["folds.n=1"], "folds.n = 1 must be a whole number in [2, 127] folds"),
        (["rules=lax"], "rules = 'lax' must be one of research, strict"),
        (["blend.method=vote"], "blend.method = 'vote' must be one of"),
        (["data.source=web"], "data.source = 'web' must be one of"),
        (["train.seeds=1,1"], "must be distinct"),
        (["qin.interest=sum"], "qin.interest = 'sum' must be one of mean, din, asta"),
        (["din.qnn.rows=2"], "din.qnn.rows=2: not read, the parts of din are din and mlp"),
        (["network.asta.width=2", "models=din"], "not read, the parts of din are din and mlp"),
        (["folds.mode=official", "blend.method=rank_mean"], "folds.mode=official has none"),
        (["data.source=[1]"], "data.source = [1] must be one of"),
        (["train.seeds=²"], "train.seeds: '²' must be a whole number"),
        (["train.seeds=99999999999999999999999"], "must be a whole number in [0, 2^63)"),
        (["folds.stop_users=0.6"], "folds.stop_users = 0.6 must be a number in [0, 0.5]"),
        (["folds.stop_users=0.005"], "folds: stop_users = 0.005 must be 0, or in [0.01, 0.5]"),
        (["folds.mode=official", "folds.stop_users=0"], "folds.stop_users=0: not read, the offi"),
        (["folds.seed=-1"], "folds.seed = -1 must be a whole number in [0, 2^63)"),
        (["qin.fit.learning_rate=nan"], "qin.fit.learning_rate = nan must be a number in (0, inf)"),
        (["train.device=gpu"], "train.device = 'gpu' must be auto, cpu, cuda or cuda:<n>"),
        (["train.threads=0"], "train.threads = 0 must be a whole number in [1, inf)"),
        (["train.rows=disk"], "train.rows = 'disk' must be one of auto, device, host, stream"),
        (["train.memory=64"], "train.memory=64: not read without train.rows=stream"),
        (
            ["train.rows=stream", "train.memory=0"],
            "train.memory = 0 must be a whole number in [1, 2^24] MiB",
        ),
        (["train.save_every=-1"], "train.save_every = -1.0 must be a number in [0, inf] seconds"),
        (["train.save_every=nan"], "train.save_every = nan must be a number in [0, inf] seconds"),
        (["rules=strict", "folds.mode=kfold"], "rules=strict refuses folds.mode=kfold"),
        (["rules=strict", "blend.method=rank_mean"], "rules=strict refuses blend.method=rank_mean"),
        (["rules=strict", "train.seeds=0,1"], "rules=strict refuses several train.seeds"),
        (["rules=strict", "qin.item_levels=true"], "rules=strict refuses qin.item_levels: levels"),
        (["rules=strict", "blend.method=lightgbm"], "rules=strict refuses blend.method=lightgbm"),
        (["rules=strict", "blend.external=x.csv"], "rules=strict refuses blend.external"),
        (["rules=strict", "blend.slates=auto"], f"refuses blend.slates=auto: {OTHER_ROWS}"),
        (
            ["rules=strict", "blend.method=slate_mean"],
            f"rules=strict refuses blend.method=slate_mean: {OTHER_ROWS}",
        ),
        (
            ["rules=strict", "network.fit.loss=listwise", "models=qin,din"],
            f"refuses din.fit.loss=listwise: {OTHER_ROWS}; rules=strict refuses qin.fit.loss=listw",
        ),
        (
            ["blend.external=x.csv", "blend.external_weight=1"],
            "blend.external_weight = 1.0 must be a number in (0, 1)",
        ),
        (["blend.external=x.csv", "blend.external_mean=vote"], "must be one of rank, logit"),
        (
            ["blend.external_weight=0.1"],
            "blend.external_weight=0.1: not read without blend.external=FILE",
        ),
        (["models=rank_mean"], "'rank_mean' cannot name a network"),
        (["models=my-net"], "'my-net' cannot name a network: letters, digits and _ only"),
        (["networks=3"], "unknown key 'networks', did you mean 'network'?"),
        (["seeds=0,1"], "unknown key 'seeds', did you mean 'train.seeds'?"),
        (["learning_rate=1"], "'learning_rate', did you mean 'network.fit.learning_rate'?"),
        (["fold.n=3"], "unknown key 'fold', did you mean 'folds'?"),
        (["qin.learning_rate=1"], "'qin.learning_rate', did you mean 'qin.fit.learning_rate'?"),
        (["lr=0.001"], "unknown key 'lr', did you mean 'network.fit.learning_rate'?"),
        (["qin.lr=0.001"], "unknown key 'qin.lr', did you mean 'qin.fit.learning_rate'?"),
        (["epochs=3"], "'epochs', did you mean 'network.fit.max_epochs'?"),
        (["bs=64"], "'bs', did you mean 'network.fit.batch_size'?"),
        (["wd=1e-3"], "'wd', did you mean 'network.fit.embedding_l2'?"),
        (["train.seed=1"], "'train.seed', did you mean 'train.seeds'?"),
        (["seed=1"], "did you mean one of prepare.seed, folds.seed, tune.seed, data.seed, train."),
        (["dropout=0"], "did you mean one of network.din.dropout, network.asta.dropout, "),
        (["device=cuda"], "'device', did you mean 'train.device'?"),
        (["qin.lerning_rate=1"], "'qin.lerning_rate', did you mean 'qin.fit.learning_rate'?"),
        (["qin.fit.learning_ratee=1"], "_ratee', did you mean 'qin.fit.learning_rate'?"),
        (["qin.fit.max_len=8"], "unknown key 'qin.fit.max_len', did you mean 'qin.max_len'?"),
        (["train.zzz=1"], "unknown key 'train.zzz'; there are seeds, device, "),
        (
            ["qin.fit.focal_gamma=3"],
            "qin.fit.focal_gamma=3: not read, the parts of qin are asta and",
        ),
        (
            ["qin.fit.loss=focal", "qin.fit.label_smoothing=0.1"],
            "qin.fit.label_smoothing=0.1: not read, the parts of qin are asta and qnn, no columns",
        ),
        (
            ["models=final_1b", "final_1b.final.activation2=relu"],
            "activation2=relu: not read, the parts of final_1b are din and final (published layer,"
            " one block), no columns",
        ),
        (["final.final.steps=3"], "final.final.steps=3: not read, the parts of final are din and"),
        (
            ["final.final.layer=paper", "final.final.steps=1"],
            "steps = 1 must be a whole number in [2",
        ),
        (
            ["models=final_paper", "final_paper.final.residual=sum"],
            "residual=sum: not read, the parts of final_paper are din and final (paper layer, two",
        ),
        (
            ["models=qin_softmax", "network.asta.weights=relu2"],
            "qin_softmax.toml sets asta.weights itself; write qin_softmax.asta.weights=...",
        ),
        (["qin.item_codes=true"], "qin.item_codes=true needs semantic codes: add prepare.codes=3"),
    ],
)
def test_an_impossible_value_is_refused_by_name(overrides, message):
    assert message in refused("sample", *overrides)


def test_an_ablation_is_what_the_run_makes_of_its_base_with_one_thing_changed():
    overrides = ["models=qin,qin_softmax", "network.max_len=7", "qin.qnn.layers=3"]
    networks = load("sample", [*overrides, "qin_softmax.embedding_dim=8"]).networks
    qin, softmax = networks["qin"], networks["qin_softmax"]
    assert (softmax.qnn.layers, softmax.max_len, softmax.asta.weights) == (3, 7, "softmax")
    same = {"asta": qin.asta, "embedding_dim": qin.embedding_dim}
    assert dataclasses.replace(softmax, **same) == qin
    assert qin.asta.weights == "relu"


@pytest.mark.parametrize("model", model_names())
def test_every_network_can_be_built_at_the_published_sizes(model):
    assert load("microlens_1m", [f"models={model}"]).networks.keys() == {model}


def test_overrides_for_networks_that_do_not_run_are_checked_too():
    message = refused("sample", "models=qin", "din.embeding_dim=3", "final.final.block1=7")
    assert "unknown key 'din.embeding_dim', did you mean 'din.embedding_dim'?" in message
    assert "final.final: block1 and block2 must be even" in message
    load("sample", ["models=qin", "network.max_len=3"])  # too short for a network that is not run


def test_an_override_may_change_a_networks_parts_whatever_the_profile_sets():
    s = load("sample", ["qin.interaction=mlp", "qin.mlp.hidden=[8]"])
    assert s.networks["qin"].mlp.hidden == (8,)


def test_strict_rules_train_on_the_official_split():
    assert load("sample", ["rules=strict", "blend.slates=off"]).official
    assert not load("sample", []).official


def test_a_profile_may_extend_another_by_name_or_by_path(tmp_path):
    (tmp_path / "base.toml").write_text('extends = "sample"\n[folds]\nn = 3\nseed = 7\n')
    (tmp_path / "mine.toml").write_text('extends = "base.toml"\n[folds]\nn = 4\n')
    s = load(str(tmp_path / "mine.toml"), [])
    assert (s.folds.n, s.folds.seed, s.profile) == (4, 7, "mine")
    assert s.data == load("sample", []).data


def test_broken_profiles_are_refused(tmp_path):
    (tmp_path / "loop.toml").write_text('extends = "loop.toml"\n')
    (tmp_path / "torn.toml").write_text("[folds\n")
    (tmp_path / "five.toml").write_text("extends = 5\n")
    assert "extends itself" in refused(tmp_path / "loop.toml")
    assert "extends = 5 must be the name" in refused(tmp_path / "five.toml")
    assert "not TOML" in refused(tmp_path / "torn.toml")
    assert "did you mean 'sample'?" in refused("sampel")


def test_a_network_that_extends_nonsense_is_refused_by_name(tmp_path, monkeypatch):
    shutil.copytree(paths.MODELS, tmp_path / "models", ignore=shutil.ignore_patterns("*.py"))
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    for base, message in (
        ('"qinn"', "mine.toml: extends = 'qinn' must be the name of another network, did you"),
        ("5", "extends = 5 must be the name"),
        ('"mine"', "extends = 'mine' must be the name of another"),
    ):
        (tmp_path / "models" / "mine.toml").write_text(f"extends = {base}\n")
        assert message in refused("sample", "models=mine")
        load_config.load("sample", [])  # no error: this run does not use the network


def test_a_mistake_in_a_network_is_not_reported_for_all_that_extend_it():
    message = refused("sample", "qin.qnn.rows=0")
    assert "qin.qnn.rows = 0 must be" in message
    assert "qin_softmax" not in message


def test_a_problem_of_a_profile_names_its_file(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "sample"\nartefacts = "x"\n[folds]\nm = 3\n')
    message = refused(tmp_path / "mine.toml", "folds.n=x")
    assert "mine.toml: unknown key 'folds.m'; there are mode, n, seed" in message
    assert "mine.toml: artefacts was renamed: write artifacts=..." in message
    assert "; folds.n = 'x' must be a whole number" in message


def test_what_was_typed_repeats_the_run(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "sample"\n')
    settings = load(str(tmp_path / "mine.toml"), ["folds.n=3"])
    assert (settings.profile, settings.overrides) == ("mine", ("folds.n=3",))
    assert load(settings.arguments[0], list(settings.arguments[1:])) == settings
