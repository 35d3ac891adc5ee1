"""Search spaces of 40_tune: which settings of a network may change, and between what.

models/spaces/<model>.toml, its keys those of the network's own TOML:

    [fit]
    learning_rate = { type = "float", low = 2e-4, high = 1e-2, log = true }
    batch_size = { type = "int", low = 128, high = 8192, log = true }
    decay = { type = "categorical", choices = [0.1, 0.5] }

float and int also take `step`, counted from low, where log is false. A choice of several widths is
written as text: choices = ["256,128", "512,256"].
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline.config import load as load_config
from pipeline.config.load import checked
from pipeline.config.schema import build, merge, near


@dataclass(frozen=True, slots=True, kw_only=True)
class Float:
    low: float
    high: float
    log: bool = False
    step: float = 0.0  # 0: anything between

    def __post_init__(self) -> None:
        _refuse(self, 0.0)

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high

    def holds(self, value: Any) -> bool:
        if not isinstance(value, float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Int:
    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _refuse(self, 1)

    @property
    def ends(self) -> tuple[int, int]:
        return self.low, self.high

    def holds(self, value: Any) -> bool:
        in_range = isinstance(value, int) and self.low <= value <= self.high
        return in_range and (value - self.low) % self.step == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical:
    choices: list

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise ValueError(f"choices = {self.choices} must be at least two")
        odd = [
            choice for choice in self.choices if not isinstance(choice, str | bool | int | float)
        ]
        if odd:
            raise ValueError(f'a choice {odd[0]} must be plain; write several widths as "256,128"')

    @property
    def ends(self) -> tuple:
        return tuple(self.choices)

    def holds(self, value: Any) -> bool:
        return value in self.choices


Parameter = Float | Int | Categorical
Space = dict[str, Parameter]  # by dotted key, such as fit.learning_rate
TYPES = {"float": Float, "int": Int, "categorical": Categorical}


def load(model: str, network: NetworkSettings) -> Space:
    """The space of a network, which must fit it. Raises InputError with every problem at once."""
    path = load_config.MODELS / load_config.SPACES / f"{model}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.toml"))
        raise InputError(
            f"no search space models/{load_config.SPACES}/{model}.toml{near(model, known)};"
            f" there are {', '.join(known)}"
        )
    problems: list[str] = []
    space = dict(_parameters(load_config.read_toml(path), "", problems))
    if not space and not problems:
        problems.append("nothing is searched: write a key of the network's own")
    if not problems:
        for key, parameter in space.items():
            problems += _impossible(network, key, parameter)
    if problems:
        raise InputError(f"models/{load_config.SPACES}/{model}.toml: " + "; ".join(problems))
    return space


def values(network: NetworkSettings, space: Space) -> dict[str, Any]:
    """What `network` has for the keys of `space`, as a trial would draw it."""
    tree, found = asdict(network), {}
    for key in space:
        value = _get(tree, key)
        if isinstance(value, tuple):
            value = ",".join(map(str, value))  # as a choice of several widths is written
        found[key] = value
    return found


def outside(values: dict[str, Any], space: Space) -> list[str]:
    """Which of `values` no trial could draw: `fit.batch_size = 32`."""
    return [f"{key} = {value!r}" for key, value in values.items() if not space[key].holds(value)]


def apply(network: NetworkSettings, values: dict[str, Any], where: str) -> NetworkSettings:
    """`network` with `values` by dotted key. Raises InputError where they cannot stand together."""
    tree = asdict(network)
    for key, value in values.items():
        tree = merge(tree, _tree(key, value))
    return checked(NetworkSettings, tree, where)


def without(tree: dict, space: Space) -> dict:
    """The nested settings `tree` less the keys of `space`: what all trials share."""
    kept = {}
    for key, value in tree.items():
        below = {k.partition(".")[2]: p for k, p in space.items() if k.partition(".")[0] == key}
        if "" not in below:
            kept[key] = without(value, below) if below else value
    return kept


def _parameters(tree: dict, above: str, problems: list[str]):
    """(dotted key, parameter) of every inline table that has a type."""
    for name, value in tree.items():
        key = f"{above}{name}"
        if not isinstance(value, dict):
            problems.append(f"{key} = {value!r} must be a table: {{ type = ..., low = ... }}")
        elif "type" not in value and all(isinstance(v, dict) for v in value.values()):
            yield from _parameters(value, f"{key}.", problems)
        else:
            given = dict(value)
            kind = given.pop("type", None)
            if not isinstance(kind, str) or kind not in TYPES:
                hint = near(str(kind), list(TYPES))
                problems.append(f"{key}.type = {kind!r} must be one of {', '.join(TYPES)}{hint}")
            else:
                yield key, build(TYPES[kind], given, key, problems)


def _impossible(network: NetworkSettings, key: str, parameter: Parameter) -> list[str]:
    """What the network's own checks say of the parameter's ends, or of each of its choices."""
    if {key, key.split(".")[0]} & network.unread:
        return [f"{key}: not read, the parts are {network.interest} and {network.interaction}"]
    problems: list[str] = []
    for value in parameter.ends:
        found: list[str] = []
        build(NetworkSettings, merge(asdict(network), _tree(key, value)), "", found)
        problems += [problem for problem in found if problem not in problems]
    return problems


def _refuse(asked: Float | Int, default_step: float) -> None:
    """Raises ValueError for a range that holds nothing to choose from."""
    low, high, step = asked.low, asked.high, asked.step
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"low = {low} must be below high = {high}, both finite")
    if step < default_step:
        raise ValueError(f"step = {step} must be positive")
    if asked.log and not (low > 0 and step == default_step):
        raise ValueError(f"log = true needs low = {low} above 0, and no step")
    if not asked.holds(high):
        raise ValueError(f"high = {high} must be low = {low} and a number of steps of {step}")


def _tree(key: str, value: Any) -> dict:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _get(tree: dict, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree
