"""The settings that models/<name>.toml gives a network, with what a measurement changes in them."""

import tomllib
from collections.abc import Mapping

from features.errors import InputError
from models.settings import NetworkSettings
from pipeline.config.paths import MODELS
from pipeline.config.schema import build
from pipeline.config.tables import merge


def network_settings(name: str, *changes: Mapping) -> NetworkSettings:
    """Those of models/<name>.toml, with each of `changes`, nested tables like the file's, in turn.

    Raises InputError for a change that the network has no setting for, or that is out of range.
    """
    raw, problems = tomllib.loads((MODELS / f"{name}.toml").read_text(encoding="utf-8")), []
    for change in changes:
        raw = merge(raw, change)
    cfg = build(NetworkSettings, raw, name, problems)
    if problems:
        raise InputError("; ".join(problems))
    return cfg
