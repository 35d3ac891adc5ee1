"""Tiny valid worlds pass every stage, or are refused before training: no traceback, no warning.

What was submitted scores the test rows again, with the same bytes (90_score --run).

./run_tests.sh --long -k tiny_worlds
"""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from tests.helpers.mutations import trials
from tests.helpers.tiny_worlds import TinyWorld, run_all

NONE = ("none", "none", "none")
BARE = {"histories": NONE, "tags": "none", "levels": 0, "content": "zero", "feature": False}
QUICK = {
    "one user a fold, nothing but items": (
        TinyWorld(**BARE, users=(3, 2, 2), padded=False),
        ["models=din", "folds.n=3", "folds.stop_users=0"],
    ),
    "one user, one item, no tags": (
        TinyWorld(users=(1, 1, 1), items=1, width=1, tags="none"),
        ["models=qin", "rules=strict"],
    ),
    "one row each": (
        TinyWorld(rows=1, users=(40, 8, 8), histories=("half", "none", "all")),
        ["models=transformer_dcn", "folds.n=2", "folds.stop_users=0", "network.fit.prefixes=2"],
    ),
}
NETWORKS = ("qin", "final", "din", "transformer_dcn", "qin,din")
USERS = st.sampled_from([1, 5, 12, 12, 40, 40])
HISTORIES = st.sampled_from(["all", "half", "none"])


@st.composite
def worlds(draw) -> tuple[TinyWorld, list[str]]:
    """A world and the overrides of its run."""
    world = TinyWorld(
        users=draw(st.tuples(USERS, USERS, USERS)),
        rows=draw(st.sampled_from([1, 2, 4, 4])),
        items=draw(st.sampled_from([1, 2, 12])),
        width=draw(st.sampled_from([1, 4])),
        padded=draw(st.booleans()),
        first_user=draw(st.sampled_from([0, 1, 1, 1_900_000_000])),
        histories=draw(st.tuples(HISTORIES, HISTORIES, HISTORIES)),
        tags=draw(st.sampled_from(["drawn", "one", "none"])),
        levels=draw(st.sampled_from([None, 0, 10])),
        content=draw(st.sampled_from(["drawn", "equal", "zero"])),
        feature=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
    )
    overrides = [f"models={draw(st.sampled_from(NETWORKS))}"]
    overrides.append(f"network.user_id={str(draw(st.booleans())).lower()}")
    overrides.append(f"network.fit.prefixes={draw(st.sampled_from([0, 0, 2]))}")
    if draw(st.booleans()):
        return world, [*overrides, "folds.mode=official"]
    overrides.append(f"folds.n={draw(st.sampled_from([2, 3]))}")
    overrides.append(f"folds.stop_users={draw(st.sampled_from([0, 0.1, 0.5]))}")
    return world, overrides


def passes(folder, capfd, world: TinyWorld, overrides: list[str], tally: Counter) -> None:
    """Run the world; it passes, or is refused by name before anything is trained."""
    tally["worlds"] += 1
    refusal = ""
    try:
        run_all(folder, world.write(folder / "files"), overrides, tally)
    except InputError as error:
        refusal = str(error)
        tally["refused"] += 1
    except Exception:
        tally["tracebacks"] += 1
        raise
    trained = [*folder.glob("artifacts/*/50_train/[!.]*")]
    assert not (refusal and trained), refusal
    printed = "".join(capfd.readouterr())
    assert not re.search(r"(?i)warning(?!: )|nan\b", printed), printed


@pytest.mark.parametrize("name", QUICK)
def test_a_tiny_world_passes_every_stage(tmp_path, capfd, name):
    tally = Counter()
    passes(tmp_path, capfd, *QUICK[name], tally)
    prefixes = "network.fit.prefixes=2" in QUICK[name][1]
    assert tally == {"worlds": 1, "stages": 10 + prefixes}


@pytest.mark.long
def test_drawn_tiny_worlds_pass_every_stage_or_are_refused_before_training(tmp_path, capfd):
    tally = Counter()

    @trials.examples(120)
    @given(worlds())
    def run(drawn):
        passes(tmp_path / str(tally["worlds"]), capfd, *drawn, tally)

    run()
    with capfd.disabled():
        print(
            f"\ntiny worlds: {tally['worlds']} tried, {tally['stages']} stages run,"
            f" {tally['refused']} refused before training, {tally['tracebacks']} tracebacks"
        )
