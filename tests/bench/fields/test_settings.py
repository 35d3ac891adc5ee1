"""Settings of the benchmark over fields: the four data sets' and a data set of one's own."""

import pytest

from bench.fields.settings import (
    BACKBONES,
    BLOCK,
    DATA_SETS,
    FOLDER,
    NETWORKS,
    data_set,
    network_settings,
    read_data_set,
)
from features.errors import InputError
from pipeline.config.tables import flat, read_toml

DATA = """
[data]
label = "clicked"
categorical = ["user", "item"]
"""


@pytest.fixture
def written(tmp_path):
    def write(text, data=DATA):
        path = tmp_path / "own.toml"
        path.write_text(data + text)
        return path

    return write


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_network_has_settings_on_every_data_set(name):
    of = data_set(name)
    assert [network_settings(network, of, 3).fit.max_epochs for network in NETWORKS] == [3] * len(
        NETWORKS
    )
    assert len(of.data.sizes) == len(of.data.categorical)
    assert {*of.published} == {*of.sections} <= {*NETWORKS}


def test_every_network_has_its_file_and_every_file_its_network():
    names = {path.stem for path in (FOLDER / "networks").glob("*.toml")}
    assert names == {*NETWORKS} - {f"{backbone}{BLOCK}" for backbone in BACKBONES}


@pytest.mark.parametrize("name", [n for n in NETWORKS if not n.endswith(BLOCK)])
def test_a_networks_file_sets_what_its_parts_read(name):
    own = read_toml(FOLDER / "networks" / f"{name}.toml")
    cfg = network_settings(name, data_set("frappe_x1"))
    assert not cfg.unread & {*own, *flat(own)}


def test_a_data_set_of_ones_own_needs_only_its_columns(written):
    of = read_data_set(written(""))
    assert (of.name, of.data.label, of.data.categorical) == ("own", "clicked", ("user", "item"))
    assert of.published == {}
    assert network_settings("dcn", of).mlp.hidden == (400, 400, 400)


def test_a_networks_section_stands_above_shared_and_below_what_extends_it(written):
    of = read_data_set(
        written("""
[shared]
embedding_dim = 4
fit.patience = 5
final.block1 = [6]

[final_2b]
final = { block1 = [8], dropout2 = 0.3 }

[final_dual]
final.dropout = 0.4

[dcn]
mlp = { hidden = [10, 12], dropout = 0.5, batch_norm = false }
fit.patience = 7

[dcn_final]
fit.embedding_l2 = 0.5
""")
    )
    one, two, dual = (network_settings(f"final_{name}", of) for name in ("1b", "2b", "dual"))
    assert (one.final.block1, two.final.block1, dual.final.block1) == ((6,), (8,), (8,))
    assert (two.final.dropouts, dual.final.dropouts) == ((0.1, 0.3), (0.4, 0.3))
    assert (two.final.distillation, dual.final.distillation) == (True, False)
    assert {cfg.embedding_dim for cfg in (one, two, dual)} == {4}
    plain, block = (network_settings(name, of) for name in ("dcn", "dcn_final"))
    assert (plain.fit.patience, block.fit.patience, one.fit.patience) == (7, 7, 5)
    assert (plain.fit.embedding_l2, block.fit.embedding_l2) == (1e-6, 0.5)
    assert (block.final.block1, block.final.dropout) == ((10, 12), 0.5)
    assert not block.final.batch_norm


FINAL = "[final_1b]\nfinal."
REFUSED = {
    "a section": ("[dnc]\n", r"unknown section 'dnc', did you mean 'dcn'\?"),
    "no section": ("[shared]\n[lr]\n[data_]\n", "unknown section 'data_', did you mean 'data'"),
    "a key": ("[mlp]\ndepe = 1", r"unknown key 'mlp\.depe', did you mean 'mlp\.deep'\?"),
    "a shared key": ("[shared]\nfit.lr = 1", r"unknown key 'shared\.fit\.lr', did you mean 'sha"),
    "a value": ("[dcn]\nfit.patience = 0", r"dcn\.fit\.patience = 0 must be a whole number in \[1"),
    "a figure": ("[dcn]\npublished.auc = 98", r"dcn\.published\.auc = 98\.0 must be a number in"),
    "no figures": ("[dcn]\npublished = 0.9", r"dcn\.published = 0\.9 must be a section of figures"),
    "shared figures": ("[shared]\npublished.auc = 0.9", r"unknown key 'shared\.published'"),
    "a shared rule": (
        "[shared]\nfit.prefixes = 3\n[lr]\nfit.prefixes = 3",
        r"own\.toml: lr, fm, afm and 16 more: fit\.prefixes is about [^;]*: leave it 0$",
    ),
    "nobody's": (
        "[shared]\ncross_v2.rank = 3",
        "own.toml: shared: cross_v2.rank is read by no netw",
    ),
    "a base's": (
        "[final_2b]\nfinal.dropout2 = [0.1, 0.2]\n[lr]\nmlp.hidden = [3]",
        r"own\.toml: lr: mlp is read by no [^;]*; final_dual, final_2b, final_2b_paper: final: ",
    ),
    "a figure's name": (
        "[dcn]\npublished.acc = 0.9",
        r"unknown key 'dcn\.published\.acc', did you",
    ),
    "another part's": ("[lr]\ncin.maps = [2]", "lr: cin is read by no part that this network"),
    "another layer's": (f"{FINAL}steps = 3", r"final_1b: final\.steps is read by no part"),
    "a block's": (f"{FINAL}dropout2 = 0.3", r"final_1b: final\.dropout2 is read by no part"),
    "two dropouts": ("[final_2b]\nfinal.dropout2 = [0.1, 0.2]", "must hold one number at most"),
    "of items": ("[dcn]\nfit.prefixes = 3", "fields have none: leave it 0"),
    "an odd width": (
        "[dcn]\nmlp.hidden = [33, 32]",
        r"dcn\.mlp\.hidden = \[33, 32\]: dcn_final has .* or leave dcn_final out",
    ),
    "no TOML": ("[dcn", "not TOML"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_settings_are_refused(written, text, message):
    path = written(text)
    with pytest.raises(InputError, match=message):
        settings_of_all(path)


def test_networks_that_are_not_trained_are_checked_too(written):
    for name in ("another part's", "another layer's", "of items"):
        text, message = REFUSED[name]
        with pytest.raises(InputError, match=message):
            read_data_set(written(text))
    of = read_data_set(written("[dcn]\nmlp.hidden = [33, 32]"))  # a fault of dcn_final alone
    assert network_settings("dcn", of).mlp.hidden == (33, 32)


def test_everything_that_is_wrong_is_told_at_once(written):
    data = DATA.replace('"item"', '"item", "user"') + "min_count = 0\n"
    text = """
[dnc]
[shared]
fit.lr = 1
[lr]
published = { auc = 98, acc = 1 }
cin.maps = [2]
[autoint]
autoint = { heads = 3, width = 128 }
fit.patience = 0
"""
    with pytest.raises(InputError) as caught:
        read_data_set(written(text, data))
    starts = (
        "unknown section 'dnc', did you mean 'dcn'?",
        "data.min_count = 0 must be",
        "data: 'user': named twice; a column has one use",
        "lr.published.auc = 98.0 must be",
        "unknown key 'lr.published.acc'",
        "unknown key 'shared.fit.lr'",
        "autoint.fit.patience = 0 must be",
        "lr: cin is read by no part",
        "autoint: autoint: heads = 3 must divide width = 128",
    )
    assert [str(caught.value).count(start) for start in starts] == [1] * len(starts)


def settings_of_all(path):
    of = read_data_set(path)
    return [network_settings(name, of) for name in NETWORKS]


COLUMNS = {
    "none": ("", "missing key 'data.label'"),
    "a key": (
        f"{DATA}categoric = 1",
        r"unknown key 'data\.categoric', did you mean 'data\.categor",
    ),
    "a value": (
        f"{DATA}min_count = 0",
        r"data\.min_count = 0 must be a whole number in \[1, inf\)",
    ),
    "no section": ("data = 3", "data = 3 must be a section"),
    "sizes": (
        f"{DATA}sizes = [3]",
        r"own\.toml: data: sizes: got 1, expected one for each of the 2 categorical columns$",
    ),
}


@pytest.mark.parametrize(("text", "message"), COLUMNS.values(), ids=COLUMNS)
def test_wrong_columns_are_refused(written, text, message):
    with pytest.raises(InputError, match=message):
        read_data_set(written("", text))


def test_an_unknown_data_set_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"'criteo', did you mean 'criteo_x1'\?; there are avazu"):
        data_set("criteo")
    with pytest.raises(InputError, match=r"no such file; expected a TOML whose \[data\] names"):
        read_data_set(tmp_path / "none.toml")
