"""Search spaces of 40_tune: which settings of a network a trial draws, and from which range.

models/spaces/<model>.toml has the keys of the network's own TOML:

    [fit]
    learning_rate = { type = "float", low = 2e-4, high = 1e-2, log = true }
    batch_size = { type = "int", low = 128, high = 8192, log = true }
    decay = { type = "categorical", choices = [0.1, 0.5] }

float and int also take `step`, counted from low, where log is false. A choice of several widths is
written as text: choices = ["256,128", "512,256"].
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline.config import paths
from pipeline.config.nearest import near
from pipeline.config.schema import build, checked
from pipeline.config.tables import Table, flat, nested, read_toml


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
    choices: list[Any]

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise ValueError(f"choices = {self.choices} must be at least two")
        odd = [
            choice for choice in self.choices if not isinstance(choice, str | bool | int | float)
        ]
        if odd:
            raise ValueError(f'a choice {odd[0]} must be plain; write several widths as "256,128"')

    @property
    def ends(self) -> tuple[Any, ...]:
        return tuple(self.choices)

    def holds(self, value: Any) -> bool:
        return value in self.choices


Parameter = Float | Int | Categorical
Space = dict[str, Parameter]  # by dotted key, such as fit.learning_rate
TYPES = {"float": Float, "int": Int, "categorical": Categorical}


def load(model: str, network: NetworkSettings) -> Space:
    """The space of a network, which must fit it. Raises InputError with every problem at once."""
    path = paths.MODELS / paths.SPACES / f"{model}.toml"
    name = f"models/{paths.SPACES}/{model}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.toml"))
        hint = f"{near(model, known)}; there are {', '.join(known)}"
        raise InputError(f"no search space {name}{hint}")
    problems: list[str] = []
    space = dict(_parameters(read_toml(path), "", problems))
    if not space and not problems:
        problems.append("it searches nothing: write a key of the network's own")
    if not problems:
        for key, parameter in space.items():
            problems += _impossible(network, key, parameter)
    if problems:
        raise InputError(f"{name}: " + "; ".join(problems))
    return space


def values(network: NetworkSettings, space: Space) -> dict[str, Any]:
    """What `network` has for the keys of `space`, as a trial would draw it."""
    own = flat(asdict(network))
    return {key: _drawn(own[key]) for key in space}


def outside(values: dict[str, Any], space: Space) -> list[str]:
    """Which of `values` no trial could draw: `fit.batch_size = 32`."""
    return [f"{key} = {value!r}" for key, value in values.items() if not space[key].holds(value)]


def apply(network: NetworkSettings, values: dict[str, Any], where: str) -> NetworkSettings:
    """`network` with `values` by dotted key. Raises InputError where they exclude each other."""
    return checked(NetworkSettings, nested(flat(asdict(network)) | values), where)


def without(settings: Table, space: Space) -> Table:
    """The nested `settings` less the keys of `space`: what all trials share."""
    return nested({key: value for key, value in flat(settings).items() if key not in space})


def _drawn(value: Any) -> Any:
    """Several widths as a choice writes them: (64, 32) -> "64,32"."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _parameters(table: Table, above: str, problems: list[str]) -> Iterator[tuple[str, Parameter]]:
    """(dotted key, parameter) of every inline table that has a type."""
    for name, value in table.items():
        key = f"{above}{name}"
        if not isinstance(value, dict):
            problems.append(f"{key} = {value!r} must be a table: {{ type = ..., low = ... }}")
        elif "type" not in value and all(isinstance(v, dict) for v in value.values()):
            yield from _parameters(value, f"{key}.", problems)
        else:
            kind = value.get("type")
            if not isinstance(kind, str) or kind not in TYPES:
                hint = near(str(kind), TYPES)
                problems.append(f"{key}.type = {kind!r} must be one of {', '.join(TYPES)}{hint}")
                continue
            limits = {name: limit for name, limit in value.items() if name != "type"}
            parameter: Any = build(TYPES[kind], limits, key, problems)
            if parameter is not None:
                yield key, parameter


def _impossible(network: NetworkSettings, key: str, parameter: Parameter) -> list[str]:
    """What the schema says of the parameter's ends, or of each of its choices."""
    if not network.reads(key):
        return [f"{key}: not read, the parts are {network.parts}"]
    problems: list[str] = []
    for value in parameter.ends:
        build(NetworkSettings, nested(flat(asdict(network)) | {key: value}), "", problems)
    return list(dict.fromkeys(problems))


def _refuse(parameter: Float | Int, no_step: float) -> None:
    """Raises ValueError for a range from which nothing can be drawn."""
    low, high, step = parameter.low, parameter.high, parameter.step
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"low = {low} must be below high = {high}, both finite")
    if step < no_step:
        raise ValueError(f"step = {step} must be positive")
    if parameter.log and not (low > 0 and step == no_step):
        raise ValueError(f"log = true needs low = {low} above 0, and no step")
    if not parameter.holds(high):
        raise ValueError(f"high = {high} must be low = {low} and a number of steps of {step}")
