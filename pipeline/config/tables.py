"""TOML and key=value overrides as plain tables, nested or flat by dotted key."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import InputError

Table = dict[str, Any]


def parse(text: str) -> Table:
    """The table of a TOML. Raises ValueError where it is none, or nested too deep."""
    try:
        table = tomllib.loads(text)
        repr(table)  # raises RecursionError here rather than in an error message
    except RecursionError:
        raise ValueError("tables or lists are nested too deep") from None
    return table


def read_toml(path: Path) -> Table:
    """The table in a file. Raises InputError."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError among them
        raise InputError(f"{path}: not TOML: {error}") from None


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    """`below` with the values of `above`, table by table."""
    both = dict(below)
    for key, value in above.items():
        nested_both = isinstance(value, dict) and isinstance(below.get(key), dict)
        both[key] = merge(below[key], value) if nested_both else value
    return both


def flat(table: Mapping[str, Any], above: str = "") -> Table:
    """{"fit": {"decay": 1}} -> {"fit.decay": 1}."""
    values: Table = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{above}{key}.")
        else:
            values[f"{above}{key}"] = value
    return values


def nested(values: Mapping[str, Any]) -> Table:
    """{"fit.decay": 1} -> {"fit": {"decay": 1}}."""
    table: Table = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        inner = table
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return table


def read_override(override: str) -> Table:
    """One key=value override as a table; the value is read as TOML, else as text.

    Raises InputError where it is none.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"got {override!r}, expected key=value, such as train.seeds=0,1,2")
    try:
        read = parse(f"v = {text}")
    except ValueError:
        read = {}
    # a line break in the text could smuggle in other keys
    return nested({key: read["v"] if read.keys() == {"v"} else text})
