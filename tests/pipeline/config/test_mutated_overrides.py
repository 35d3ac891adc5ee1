"""Loading of settings with mutated overrides: an accepted override is in force as typed."""

import contextlib
import tomllib
from collections import Counter

from hypothesis import given

from pipeline.config.load import load
from pipeline.config.settings import Settings
from tests.helpers.mutations import trials
from tests.helpers.mutations.overrides import overrides


def values_of(s: Settings, key: str) -> list:
    """The values of a dotted key: one per network that it belongs to."""
    head, _, rest = key.partition(".")
    if head in s.networks:
        values = [s.networks[head]]
    elif head == "network":
        values = list(s.networks.values())
    else:
        values, rest = [s], key
    for part in rest.split("."):
        values = [getattr(value, part) for value in values]
    return values


def means(text: str, value) -> bool:
    """Whether `text`, as typed or as TOML, stands for `value`."""
    readings = [text]
    with contextlib.suppress(ValueError, RecursionError):
        tree = tomllib.loads(f"v = {text}")
        readings += [tree["v"]] if tree.keys() == {"v"} else []
    if isinstance(value, tuple):
        lists = [r.split(",") if isinstance(r, str) else r for r in readings]
        lists = [r if isinstance(r, list) else [r] for r in lists]
        return any([str(x) for x in value] == [str(x) for x in r if x != ""] for r in lists)
    return any(
        value == r and (type(value) is type(r) or (type(value), type(r)) == (float, int))
        for r in readings
    )


@trials.QUICK_AND_LONG
def test_mutated_overrides(capsys, size):
    tally = Counter()

    @trials.examples(400 if size == "quick" else 6000)
    @given(overrides())
    def run(typed):
        s = None
        with trials.one_input(tally):
            s = load("sample", typed)
        if s is None:
            return
        for key, text in dict(override.split("=", 1) for override in typed).items():
            if key == "data.source" or key.split(".")[0] in {"qin", "din", "final"} - {*s.networks}:
                continue
            right = all(means(text, value) for value in values_of(s, key))
            tally["wrong"] += not right
            assert right, f"{key}={text!r} became {values_of(s, key)}"
        assert 2 <= s.folds.n <= 127
        assert s.folds.seed >= 0
        assert "\0" not in s.artifacts + s.submissions

    run()
    with capsys.disabled():
        print(trials.summary("overrides", tally))
