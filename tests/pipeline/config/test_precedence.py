"""Which level's value counts: default < network < profile < typed < study, without exception."""

import functools
from dataclasses import asdict
from itertools import combinations

import pytest

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline.config import networks, paths
from pipeline.config.load import load, load_with_sources
from pipeline.config.networks import Source
from pipeline.config.schema import Setting, assemble, settings_of
from pipeline.config.tables import flat

PROFILES = sorted(path.stem for path in paths.PROFILES.glob("*.toml"))
MODELS = networks.model_names()
DECLARED = settings_of(NetworkSettings)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """One network, `net`, and one that extends it, `child`; `write` makes them and a profile."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(paths, "MODELS", models)
    top = 'interest = "din"\ninteraction = "mlp"\n'

    def write(net="", child="", profile=""):
        (models / "net.toml").write_text(f"{net}\n{top}")
        (models / "child.toml").write_text(f'extends = "net"\n{child}')
        path = tmp_path / "mine.toml"
        path.write_text(f'models = ["net", "child"]\n[data]\nsource = "sample"\n{profile}')
        return str(path)

    return write


LEVELS = {  # of max_len, by level: what `write` puts where, or what is typed; lowest level first
    "network: net.toml": {"net": "max_len = 1"},
    "profile [network]": {"profile": "[network]\nmax_len = 2\n"},
    "profile [net]": {"profile": "[net]\nmax_len = 3\n"},
    "typed network.*": {"typed": ["network.max_len=4"]},
    "typed net.*": {"typed": ["net.max_len=5"]},
}
OF_CHILD = LEVELS | {  # as `child` sees them
    "network: child.toml": {"child": "max_len = 6"},
    "profile [child]": {"profile": "[child]\nmax_len = 7\n"},
    "typed child.*": {"typed": ["child.max_len=8"]},
}
ORDER_OF_CHILD = [
    "network: net.toml", "profile [network]", "profile [net]", "network: child.toml",
    "profile [child]", "typed network.*", "typed net.*", "typed child.*",
]  # fmt: skip
VALUES = dict(zip(OF_CHILD, range(1, 9), strict=True))
INHERITED = {"typed net.*"}  # reaches the child unless something of its own lies above


def run(write, levels):
    """max_len and source of both networks where these levels set it, and what was typed."""
    files, typed = {"net": "", "child": "", "profile": ""}, []
    for level in levels:
        for where, text in OF_CHILD[level].items():
            if where == "typed":
                typed += text
            else:
                files[where] += text
    settings, values = load_with_sources(write(**files), typed)
    return {
        name: (settings.networks[name].max_len, values.get(f"{name}.max_len"))
        for name in ("net", "child")
    }


@pytest.mark.parametrize(("low", "high"), combinations(LEVELS, 2))
def test_the_later_of_two_levels_counts(world, low, high):
    assert run(world, [low])["net"][0] == VALUES[low]
    value, sourced = run(world, [low, high])["net"]
    assert value == sourced.value == VALUES[high]
    assert sourced.source.level == high.split()[0].rstrip(":")


@pytest.mark.parametrize(("low", "high"), combinations(ORDER_OF_CHILD, 2))
def test_the_later_of_two_levels_counts_for_a_network_that_extends_another(world, low, high):
    own = {"network: child.toml", "profile [child]"}
    if low == "network: child.toml" and high == "typed network.*":
        with pytest.raises(InputError, match=r"child\.toml sets max_len itself; write child\.max"):
            run(world, [low, high])
        return
    expected = low if low in own and high in INHERITED else high
    value, sourced = run(world, [low, high])["child"]
    assert value == sourced.value == VALUES[expected]


def test_a_default_counts_where_nobody_says_otherwise(world):
    assert run(world, []) == {"net": (64, None), "child": (64, None)}


def test_a_profile_lies_above_the_one_that_it_extends(world, tmp_path):
    base = world(profile="[net]\nmax_len = 3\n[network]\nmax_len = 2\n")
    (tmp_path / "more.toml").write_text(f'extends = "{base}"\n[network]\nmax_len = 9\n')
    settings, values = load_with_sources(str(tmp_path / "more.toml"), [])
    assert settings.networks["net"].max_len == 3  # [net] is nearer than [network]
    assert values["net.max_len"].source == Source("profile", "mine.toml", "net")
    settings, _ = load_with_sources(str(tmp_path / "more.toml"), ["folds.n=3", "folds.n=4"])
    assert settings.folds.n == 4  # the last one counts


def test_the_two_examples_that_once_lost_against_the_profile():
    typed = ["models=qin,din,final,transformer_dcn", "network.fit.embedding_l2=1e-5"]
    settings = load("sample", [*typed, "network.max_len=8"])
    assert {network.fit.embedding_l2 for network in settings.networks.values()} == {1e-5}
    assert {network.max_len for network in settings.networks.values()} == {8}


def other(setting: Setting, value) -> list[str]:
    """Values of the setting that are not `value`, as typed: all choices, or a few numbers."""
    if setting.kind is bool:
        return [str(not value).lower()]
    if setting.choices:
        return [choice for choice in setting.choices if choice != value]
    tries = ["6,4", "8"] if setting.is_list else ["0.25", "0.75", "3", "2"]
    if setting.kind is int and not setting.is_list:
        tries = ["2", "3", "6"]
    return [text for text in tries if text != str(value)]


def as_read(setting: Setting, text: str):
    """What is in force when `text` is typed."""
    value = {"true": True, "false": False}.get(text, text)
    if setting.kind in (int, float) and not setting.is_list:
        value = setting.kind(text)
    return setting.read(value, setting.key, [])


@functools.cache
def values_of(profile: str, model: str) -> dict:
    """The network's settings that are no defaults, by key."""
    _, values = load_with_sources(profile, [f"models={model}"])
    start = f"{model}."
    return {k.removeprefix(start): v.value for k, v in values.items() if k.startswith(start)}


def breaks_a_rule(profile: str, model: str, key: str, value) -> bool:
    """Whether this value stands against another setting of the network, or lacks prepare.codes."""
    changed = values_of(profile, model) | {key: value}
    return key == "item_codes" or assemble(NetworkSettings, changed, "", []) is None


def attempt(profile: str, model: str, override: str):
    """The network and no problem, or no network and what the refusal says."""
    try:
        return load(profile, [f"models={model}", override]).networks[model], ""
    except InputError as error:
        return None, str(error).partition(": ")[2]


EXHAUSTIVE = [
    pytest.param(profile, model, marks=[] if profile == "sample" else pytest.mark.long)
    for profile in PROFILES
    for model in MODELS
]


@pytest.mark.parametrize(("profile", "model"), EXHAUSTIVE)
def test_what_is_typed_is_in_force_or_refused_by_name(profile, model):
    """Every setting of every network of every profile."""
    base = load(profile, [f"models={model}"]).networks[model]
    n_in_force = 0
    for key, setting in DECLARED.items():
        text = other(setting, flat(asdict(base))[key])[0]
        for section in ("network", model):
            override = f"{section}.{key}={text}"
            network, problem = attempt(profile, model, override)
            if network is not None:
                assert flat(asdict(network))[key] == as_read(setting, text), override
                n_in_force += 1
            elif not breaks_a_rule(profile, model, key, as_read(setting, text)):
                assert problem.startswith((f"{override}: not read", f"{override}: {model}.toml"))
    assert n_in_force > 40


@pytest.mark.parametrize("profile", PROFILES)
def test_typed_for_all_networks_it_reaches_every_one_that_reads_it(profile):
    names = ["qin", "din", "final", "transformer_dcn"]
    chosen = f"models={','.join(names)}"
    base = load(profile, [chosen]).networks
    for key, setting in DECLARED.items():
        readers = [name for name in names if base[name].reads(key)]
        if not readers or key in ("interest", "interaction"):
            continue
        text = other(setting, flat(asdict(base[readers[0]]))[key])[0]
        try:
            changed = load(profile, [chosen, f"network.{key}={text}"]).networks
        except InputError:
            continue  # breaks a rule of one of them: the test above looks at each
        for name in readers:
            assert flat(asdict(changed[name]))[key] == as_read(setting, text), (name, key)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["models=qin", "din.max_len=8"], "din.max_len=8: not read, din is not among models=qin"),
        (
            ["models=qin_softmax", "qin.asta.weights=relu2"],
            "qin.asta.weights=relu2: not read, qin_softmax has qin_softmax.asta.weights from"
            " network: qin_softmax.toml; write qin_softmax.asta.weights=...",
        ),
        (
            ["models=qin_without_qnn", "qin.qnn.rows=3"],
            "qin.qnn.rows=3: not read, the parts of qin_without_qnn are asta and mlp, no columns,"
            " its loss bce",
        ),
        (
            ["train.settings=tuned", "qin.fit.decay=0.3"],
            "qin.fit.decay=0.3: train.settings=tuned takes qin.fit.decay from its study",
        ),
        (
            ["train.settings=tuned", "network.fit.learning_rate=0.3"],
            "network.fit.learning_rate=0.3: train.settings=tuned takes qin.fit.learning_rate",
        ),
        (["artefacts=x"], "artefacts was renamed: write artifacts=..."),
        (["blend.extra_mean=rank"], "blend.extra_mean was renamed: write blend.external_mean=..."),
    ],
)
def test_what_would_be_ignored_is_refused_with_what_to_do(overrides, message):
    with pytest.raises(InputError) as error:
        load("sample", overrides)
    assert message in str(error.value)


def test_a_base_that_is_typed_counts_for_what_extends_it():
    settings = load("sample", ["models=qin_softmax", "qin.max_len=8"])
    assert settings.networks["qin_softmax"].max_len == 8
    typed = ["models=qin,qin_softmax", "network.max_len=7", "qin.max_len=8"]
    softmax = load("sample", typed).networks["qin_softmax"]
    assert softmax.max_len == 8  # qin with one thing changed
    assert load("sample", [*typed, "qin_softmax.max_len=9"]).networks["qin_softmax"].max_len == 9


def test_what_is_typed_for_a_network_stands_above_the_toml_of_one_that_it_extends(world):
    write = world(child="max_len = 6")
    (paths.MODELS / "grandchild.toml").write_text('extends = "child"\n')
    chosen = ["models=grandchild", "network.max_len=4"]
    settings, values = load_with_sources(write, [*chosen, "grandchild.max_len=8"])
    assert settings.networks["grandchild"].max_len == 8
    assert values["grandchild.max_len"].source == Source("typed", "grandchild.max_len=8")
    with pytest.raises(InputError, match=r"child\.toml sets max_len itself; write child\.max_len"):
        load_with_sources(write, chosen)


def test_a_refused_override_is_named_once(world):
    with pytest.raises(InputError) as error:
        load_with_sources(world(child="max_len = 6"), ["network.max_len=4", "models=child"])
    assert str(error.value).count("network.max_len=4: ") == 1


def test_a_setting_that_a_study_has_not_searched_may_be_typed():
    settings = load("sample", ["train.settings=tuned", "qin.max_len=8", "din.fit.decay=0.3"])
    assert settings.networks["qin"].max_len == 8
