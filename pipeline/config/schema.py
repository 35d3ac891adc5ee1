"""The schema of settings, read from dataclasses, and plain values checked against it.

A setting is declared once, as a field of a dataclass:

    name: Annotated[TYPE, "[low, high] unit", "One sentence of meaning."] = default

TYPE is bool, int, float, str, a Literal of texts, or tuple[TYPE, ...] for a list. The range in the
middle may be missing. Its interval is in standard notation: "[0, 1)", "(0, inf)", "[0, 2^63)". For
a list it holds for each element, and "one or more of" in front of it forbids an empty list. A field
whose type is a dataclass is a section.

pydantic would read the same declarations. It is not used because models/ may import torch and numpy
only, and because it costs start-up time: see bench/RESULTS.md.

Problems are collected in lists, so that a user sees all of them at once. No setting is known here
by name.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from features.errors import InputError
from pipeline.config.nearest import THERE_ARE, near, near_key, without_repeats
from pipeline.config.redact import one_line

T = TypeVar("T")
MISSING = dataclasses.MISSING
TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
RANGE = re.compile(
    r"(?P<one_or_more>one or more(?: of )?)?"
    r"(?:(?P<left>[\[(])(?P<low>[^,]+), (?P<high>[^,]+)(?P<right>[\])]))?(?: (?P<unit>.+))?"
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of numbers; `text` is how it was written."""

    text: str
    low: float
    high: float
    has_low: bool
    has_high: bool

    def holds(self, value: float) -> bool:
        above = value >= self.low if self.has_low else value > self.low
        return above and (value <= self.high if self.has_high else value < self.high)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what a value must be, and what it means. `default` may be MISSING."""

    key: str
    kind: type
    default: Any
    is_list: bool = False
    one_or_more: bool = False
    choices: tuple[str, ...] = ()
    interval: Interval | None = None
    unit: str = ""
    meaning: str = ""

    def read(self, value: Any, name: str, problems: list[str]) -> Any:
        """`value` as the setting's type, with `problems` extended by what is wrong with it.

        A list may be written `a,b`, and a whole number may stand for a number.
        """
        if not self.is_list:
            return self._checked(value, f"{name} =", problems)
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, list | tuple) else [items]
        read = tuple(self._checked(item, f"{name}:", problems) for item in items if item != "")
        if self.one_or_more and not read:
            problems.append(f"{name} must hold at least one value")
        return read

    def _checked(self, value: Any, start: str, problems: list[str]) -> Any:
        value = _converted(value, self.kind, self.is_list)
        kind: object = self.kind
        start = f"{start} {one_line(repr(value))} must be"
        if type(value) is not kind:
            problems.append(f"{start} {self._element}")
        elif self.choices and value not in self.choices:
            problems.append(f"{start} {self._element}{near(value, self.choices)}")
        elif self.interval and not self.interval.holds(value):
            problems.append(f"{start} {self._element}")
        elif isinstance(value, str) and not _is_plain(value):
            problems.append(f"{start} plain UTF-8 text, without NUL")
        return value

    @property
    def expected(self) -> str:
        """What may be written: `a number in (0, 1]`, `one of relu, silu`, `a list, each text`."""
        if not self.is_list:
            return self._element
        return f"a list{' of one or more' * self.one_or_more}, each {self._element}"

    @property
    def _element(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        name = TYPE_NAMES.get(self.kind, self.kind.__name__)
        return f"{name} in {self.range}" if self.interval else name

    @property
    def range(self) -> str:
        """`[1, inf) rows`, or nothing."""
        return " ".join(part for part in (self.interval and self.interval.text, self.unit) if part)


@functools.cache
def settings_of(cls: type) -> dict[str, Setting]:
    """Every setting of a dataclass by its dotted key, those of its sections included."""
    settings: dict[str, Setting] = {}
    for field in dataclasses.fields(cls):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            for key, setting in settings_of(field.type).items():
                key = f"{field.name}.{key}"
                settings[key] = dataclasses.replace(setting, key=key)
        else:
            settings[field.name] = _setting(field)
    return settings


def _setting(field: "dataclasses.Field[Any]") -> Setting:
    kind: Any = field.type
    texts: list[str] = []
    if get_origin(kind) is Annotated:
        kind, *texts = get_args(kind)
    *limits, meaning = texts or [""]
    limit = RANGE.fullmatch(limits[0] if limits else "")
    if limit is None:
        raise TypeError(f"{field.name}: {limits[0]!r} is no range such as '[0, 1) seconds'")
    is_list = get_origin(kind) is tuple
    element = get_args(kind)[0] if is_list else kind
    choices = get_args(element) if get_origin(element) is Literal else ()
    return Setting(
        key=field.name,
        kind=str if choices else get_origin(element) or element,
        default=field.default,
        is_list=is_list,
        one_or_more=limit["one_or_more"] is not None,
        choices=choices,
        interval=_interval(limit) if limit["low"] else None,
        unit=limit["unit"] or "",
        meaning=meaning,
    )


def _interval(limit: "re.Match[str]") -> Interval:
    left, low, high, right = limit["left"], limit["low"], limit["high"], limit["right"]
    text = f"{left}{low}, {high}{right}"
    return Interval(text, _number(low), _number(high), left == "[", right == "]")


def _number(text: str) -> float:
    """2^63 and 10^8 are whole numbers, which a float would round."""
    base, power, exponent = text.partition("^")
    if power:
        return int(base) ** int(exponent)
    return float(text) if "." in text or "inf" in text else int(text)


def values_of(
    cls: type,
    tree: Mapping[str, Any],
    where: str,
    problems: list[str],
    known: Iterable[str] | None = None,
) -> dict[str, Any]:
    """The values of `tree` by dotted key, each checked for itself; bad ones are left out.

    where  how the tree's keys begin for the user, such as `qin.fit`
    known  the full keys that a message about an unknown one may name; None: those of `cls`
    """
    values: dict[str, Any] = {}
    known = full_keys(cls, where) if known is None else known
    settings = settings_of(cls)
    fields: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(cls)}
    for key, value in tree.items():
        name = f"{where}.{key}" if where else key
        if key not in fields:
            hint = near_key(name, known) or f"{THERE_ARE}{', '.join(fields)}"
            problems.append(f"unknown key {name!r}{hint}")
        elif key in settings:
            before = len(problems)
            read = settings[key].read(value, name, problems)
            if len(problems) == before:
                values[key] = read
        elif isinstance(value, Mapping):
            section = values_of(fields[key], value, name, problems, known)
            values |= {f"{key}.{inner}": read for inner, read in section.items()}
        else:
            shown = one_line(repr(value))
            problems.append(f"{name} = {shown} must be a section: write {name}.<key>=<value>")
    return values


def assemble(cls: type[T], values: Mapping[str, Any], where: str, problems: list[str]) -> T | None:
    """An instance from checked `values` by dotted key, or None with `problems` extended.

    Here the rules between settings are checked, which raise ValueError in __post_init__.
    """
    arguments: dict[str, Any] = {}
    before = len(problems)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = f"{where}.{field.name}" if where else field.name
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            start = f"{field.name}."
            inner = {k.removeprefix(start): v for k, v in values.items() if k.startswith(start)}
            arguments[field.name] = assemble(field.type, inner, name, problems)
        elif field.name in values:
            arguments[field.name] = values[field.name]
        elif field.default is field.default_factory is MISSING:
            problems.append(f"missing key {name!r}")
    if len(problems) > before:
        return None
    try:
        return cls(**arguments)
    except ValueError as error:
        problems.append(f"{where}: {error}" if where else str(error))
        return None


def build(cls: type[T], tree: Mapping[str, Any], where: str, problems: list[str]) -> T | None:
    """An instance of dataclass `cls` from plain values, or None with `problems` extended."""
    before = len(problems)
    values = values_of(cls, tree, where, problems)
    return None if len(problems) > before else assemble(cls, values, where, problems)


def checked(cls: type[T], tree: Mapping[str, Any], where: str) -> T:
    """An instance of `cls` from plain values. Raises InputError with every problem at once."""
    problems: list[str] = []
    built = build(cls, tree, where, problems)
    if built is None:
        raise InputError("; ".join(without_repeats(problems)))
    return built


def full_keys(cls: type, where: str) -> list[str]:
    """Every setting of a dataclass and every section in it, as the user writes them."""
    settings = list(settings_of(cls))
    sections = dict.fromkeys(key.partition(".")[0] for key in settings)  # and keys of no section
    return [f"{where}.{key}" if where else key for key in dict.fromkeys((*sections, *settings))]


def _converted(value: Any, kind: type, in_list: bool) -> Any:
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if kind is int and in_list and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass  # reported as the text that it is
    return value


def _is_plain(text: str) -> bool:
    """Whether it can name a file and be written into a record."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
