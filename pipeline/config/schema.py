"""Plain values into frozen dataclasses: the tree of a TOML, key=value words, types, near misses.

Nothing here knows a setting by name. Problems are collected, so that all are reported at once.
"""

import dataclasses
import difflib
import re
import tomllib
from typing import Any, get_origin

from features.errors import InputError


def build(cls, raw: dict, where: str, problems: list[str], fixed: dict | None = None):
    """An instance of dataclass `cls` from plain values, or None with `problems` extended."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    values, before = dict(fixed or {}), len(problems)
    allowed = [key for key in known if key not in values]
    for key, value in raw.items():
        name = f"{where}.{key}" if where else key
        if key not in allowed:
            hint = near(key, allowed) or f"; there are {', '.join(allowed)}"
            problems.append(f"unknown key {name!r}{hint}")
        elif dataclasses.is_dataclass(known[key].type):
            values[key] = build(known[key].type, _table(value, name, problems), name, problems)
        else:
            values[key] = typed(value, known[key].type, name, problems)
    for name, f in known.items():
        required = f.default is f.default_factory is dataclasses.MISSING
        if required and name not in values:
            problems.append(f"missing key {f'{where}.{name}' if where else name!r}")
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:
        problems.append(f"{where}: {error}" if where else str(error))
        return None


def merge(below: dict, above: dict) -> dict:
    """`below` with the values of `above`, table by table."""
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(below.get(key), dict)
        both[key] = merge(below[key], value) if nested else value
    return both


def set_word(raw: dict, word: str) -> None:
    """Put one key=value word into the tree; the value is read as TOML, else as text."""
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise InputError(f"got {word!r}, expected key=value, such as train.seeds=0,1,2")
    try:
        tree = parse(f"v = {text}")
    except ValueError:
        tree = {}
    value = tree["v"] if tree.keys() == {"v"} else text  # a line end could bring other keys along
    *path, last = key.split(".")
    table = raw
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(f"{word!r}: {part!r} is a value, not a section")
    table[last] = value


def parse(text: str) -> dict:
    """The tree of a TOML. Raises ValueError where it is none, or one that no setting needs."""
    try:
        tree = tomllib.loads(text)
        repr(tree)  # whatever is wrong with it is going to be shown
    except RecursionError:
        raise ValueError("tables or lists in one another, too deep") from None
    return tree


def plain(text: str, most: int = 200) -> str:
    """What somebody typed, on one line and not too long of it."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= most else f"{text[:most]}..."


def without_passwords(text: str) -> str:
    """As it may be kept: no password in a URL."""
    text = re.sub(r"(://[^/:@\s]*):\S*@", r"\1:…@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:pass|pwd|secret)[^=&\s]*=)[^&\s]+", r"\1…", text)


def without_secrets(text: str) -> str:
    """As it may be shown to others: no user in a URL either."""
    return re.sub(r"://[^/@\s]*@", "://…@", without_passwords(text))


def _table(value: Any, name: str, problems: list[str]) -> dict:
    if isinstance(value, dict):
        return value
    problems.append(f"{name} = {plain(repr(value))} must be a section")
    return {}


def typed(value: Any, kind: Any, name: str, problems: list[str]) -> Any:
    """`value` as `kind`; lists may come as `a,b`, and a whole number may stand for a float."""
    if get_origin(kind) is tuple:
        element = kind.__args__[0]
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, (list, tuple)) else [items]
        return tuple(_element(item, element, name, problems) for item in items if item != "")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        problems.append(f"{name} = {plain(repr(value))} must be {kind.__name__}")
    elif kind is str and not _is_plain(value):
        problems.append(f"{name} = {value!r} must be plain UTF-8 text, without NUL")
    return value


def _is_plain(text: str) -> bool:
    """Whether files can be named by it, and records hold it."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _element(item: Any, kind: type, name: str, problems: list[str]) -> Any:
    if kind is int and isinstance(item, str):
        try:
            return int(item)
        except ValueError:
            pass  # reported below as the text that it is
    return typed(item, kind, name, problems)


def near(key: str, known: list[str], said: str = "did you mean") -> str:
    """What to add to a message about `key`: the nearest of `known`, or nothing."""
    close = difflib.get_close_matches(key, known, n=1)
    if not close:
        return ""
    return f", {said} {close[0]!r}{'?' if said == 'did you mean' else ''}"
