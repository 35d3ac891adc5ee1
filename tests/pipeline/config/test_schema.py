"""What the schema reads from the settings' declarations, and what it refuses."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from cv.blenders.registry import BLENDERS_BY_NAME
from features.errors import InputError
from features.settings import (
    ChallengeSettings,
    Negatives,
    PrepareSettings,
    ReleaseSettings,
    SampleSettings,
)
from features.sources import planted_leaks, sample_world
from features.sources.microlens_release import rows as release_rows
from models.fields.settings import FieldSettings
from models.settings import NetworkSettings
from pipeline.config.schema import build, checked, settings_of
from pipeline.config.settings import BLENDERS, RunSettings

OURS = (
    RunSettings, NetworkSettings, SampleSettings, ReleaseSettings, ChallengeSettings, FieldSettings,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A section."""

    share: Annotated[float, "(0, 1]", "A share."] = 0.5
    widths: Annotated[tuple[int, ...], "one or more of [1, inf)", "Widths."] = (8,)
    seed: Annotated[int, "[0, 2^63)", "A seed."] = 0

    def __post_init__(self) -> None:
        if self.seed == 13:
            raise ValueError("seed = 13 brings bad luck")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """Everything."""

    kind: Annotated[Literal["red", "blue"], "A colour."]
    wait: Annotated[float, "[0, inf] seconds", "A time."] = 1.0
    loud: Annotated[bool, "Whether it is loud."] = False
    name: str = ""
    inner: Inner = field(default_factory=Inner)


def problems_of(cls, **tree) -> str:
    problems: list[str] = []
    assert (build(cls, tree, "", problems) is None) == bool(problems)
    return "; ".join(problems)


def test_a_declaration_is_read_whole():
    settings = settings_of(Outer)
    assert list(settings) == ["kind", "wait", "loud", "name", *map("inner.{}".format, (
        "share", "widths", "seed"
    ))]  # fmt: skip
    wait, seed, widths = settings["wait"], settings["inner.seed"], settings["inner.widths"]
    assert (wait.kind, wait.default, wait.unit, wait.meaning) == (float, 1.0, "seconds", "A time.")
    assert wait.range == "[0, inf] seconds"
    assert seed.interval.high == 2**63
    assert widths.is_list and widths.one_or_more  # noqa: PT018
    assert settings["kind"].choices == ("red", "blue")
    assert settings["name"].meaning == ""


def test_plain_values_become_an_instance():
    built = checked(Outer, {"kind": "red", "wait": 3, "inner": {"widths": "4,5"}}, "")
    assert built == Outer(kind="red", wait=3.0, inner=Inner(widths=(4, 5)))
    assert isinstance(built.wait, float)


@pytest.mark.parametrize(
    ("value", "fits"), [(0, False), (1e-9, True), (1, True), (1.1, False), (float("nan"), False)]
)
def test_the_ends_of_an_interval_count_as_they_are_written(value, fits):
    assert (problems_of(Outer, kind="red", inner={"share": value}) == "") == fits


def test_every_problem_is_named_at_once():
    found = problems_of(
        Outer, wait="long", loud=1, nam="x", inner={"share": 2, "widths": [0, "x"], "seed": 2**63}
    )
    for expected in (
        "wait = 'long' must be a number in [0, inf] seconds",
        "loud = 1 must be true or false",
        "unknown key 'nam', did you mean 'name'?",
        "inner.share = 2.0 must be a number in (0, 1]",
        "inner.widths: 0 must be a whole number in [1, inf)",
        "inner.widths: 'x' must be a whole number in [1, inf)",
        "inner.seed = 9223372036854775808 must be a whole number in [0, 2^63)",
    ):
        assert expected in found
    assert problems_of(Outer) == "missing key 'kind'"
    assert (
        problems_of(Outer, kind="blu")
        == "kind = 'blu' must be one of red, blue, did you mean 'blue'?"
    )
    assert problems_of(Outer, kind="red", inner=3) == (
        "inner = 3 must be a section: write inner.<key>=<value>"
    )
    assert problems_of(Outer, kind="red", inner={"widths": []}) == (
        "inner.widths must hold at least one value"
    )
    assert problems_of(Outer, kind="red", inner={"seed": 13}) == "inner: seed = 13 brings bad luck"
    assert problems_of(Outer, kind="red", wait=10**400) == ""  # [0, inf] holds infinity
    assert "plain UTF-8 text" in problems_of(Outer, kind="red", name="\0")


def test_a_wrong_declaration_is_the_developers_mistake():
    @dataclass
    class Broken:
        share: Annotated[float, "0..1", "A share."] = 0.5

    with pytest.raises(TypeError, match=r"share: '0\.\.1' is no range"):
        settings_of(Broken)


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_every_setting_says_what_it_means_and_accepts_its_default(cls):
    for key, setting in settings_of(cls).items():
        assert setting.meaning.endswith("."), key
        assert len(setting.meaning.split()) >= 3, key
        if setting.kind in (int, float):
            assert setting.interval is not None, key
        problems: list[str] = []
        if setting.default is not setting.default.__class__ and "MISSING" not in repr(
            setting.default
        ):
            assert setting.read(setting.default, key, problems) == setting.default
        assert problems == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"interest": "din_attention"}, "interest = 'din_attention' must be one of"),
        ({"max_len": 0}, "max_len = 0 must be a whole number in [1, inf)"),
        ({"qnn": {"dropout": 1.0}}, "qnn.dropout = 1.0 must be a number in [0, 1)"),
        ({"fit": {"batch_size": 1}}, "fit.batch_size = 1 must be a whole number in [2, inf) rows"),
        ({"din": {"hidden": []}}, "din.hidden must hold at least one value"),
        ({"fit": {"loss": "hinge"}}, "fit.loss = 'hinge' must be one of bce, bce_bpr"),
        ({"final": {"block1": [7]}}, "final: block1 and block2 must be even"),
        (
            {"interaction": "final", "final": {"gating": True}},
            "final.gating weighs fields of one width: content_dim = 0 must equal embedding_dim",
        ),
        (
            {"interest": "transformer", "max_len": 9},
            "transformer.last = 16 exceeds max_len = 9; lower transformer.last or raise max_len",
        ),
    ],
)
def test_impossible_networks_are_refused_by_name(changed, message):
    parts = {"interest": "asta", "interaction": "qnn"}
    assert message in problems_of(NetworkSettings, **parts | changed)


def test_impossible_networks_over_fields_are_refused_by_name():
    found = problems_of(
        FieldSettings, explicit="ffm", deep="qnn", cross={"layers": 0}, cin={"maps": [3, 0]},
        embedding_dim=0, final={"block1": []}, fit={"patience": 0},
    )  # fmt: skip
    for expected in (
        "explicit = 'ffm' must be one of none, fm, afm, cin, cross, cross_v2, autoint, sam",
        "deep = 'qnn' must be one of none, mlp, final",
        "cross.layers = 0 must be",
        "cin.maps: 0 must be",
        "embedding_dim = 0 must be",
        "final.block1 must hold at least one value",
        "fit.patience = 0 must be",
    ):
        assert expected in found


def test_a_network_over_fields_without_any_part_or_with_unequal_heads_is_refused():
    found = problems_of(FieldSettings, explicit="none", deep="none")
    assert "explicit = 'none', deep = 'none' and first_order = false leave no part" in found
    found = problems_of(FieldSettings, explicit="autoint", deep="none", autoint={"heads": 3})
    assert "autoint: heads = 3 must divide width = 128" in found


def test_impossible_data_are_refused_by_name():
    assert "users = 0 must be" in problems_of(SampleSettings, users=0, items=5)
    assert "items = 5 must be a whole number in [200, 10^7]" in problems_of(SampleSettings, items=5)
    assert "plant = 'length' must be one of none" in problems_of(SampleSettings, plant="length")
    found = problems_of(ReleaseSettings, train_targets=0, seed=-1, negatives="odd", valid_share=0)
    for name in ("train_targets = 0", "seed = -1", "negatives = 'odd'", "valid_share = 0.0"):
        assert f"{name} must be" in found
    assert "together be less than 1" in problems_of(
        ReleaseSettings, valid_share=0.6, test_share=0.4
    )
    assert "must be even" in problems_of(PrepareSettings, content="modality_pca", content_width=3)
    with pytest.raises(InputError, match="here: url = 'ftp://a' must be an address"):
        checked(ChallengeSettings, {"url": "ftp://a"}, "here")


def test_choices_that_settings_and_code_both_list_are_the_same():
    assert ("auto", *BLENDERS_BY_NAME) == BLENDERS
    assert set(Negatives.__args__) == set(release_rows.NEGATIVES)
    assert settings_of(SampleSettings)["plant"].choices == ("none", *planted_leaks.KINDS)
    assert settings_of(SampleSettings)["tags"].interval.low == sample_world.N_TOPICS
