"""The worlds of a ladder: data with a profile, each with a short name."""

import re
from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

from features.errors import InputError
from pipeline.config.load import RUN

RELEASE = ("microlens_release", "data.dir={microlens}")
NAMED = {  # {microlens} and {instruments} are the folders that the options of these names give
    "sample": ("sample",),
    "popularity": (*RELEASE, "data.negatives=popularity"),
    "mixed": (*RELEASE, "data.negatives=mixed"),
    "untouched": (*RELEASE, "data.negatives=popularity", "data.seed=7"),
    "instruments": (
        "microlens_release", "data.dir={instruments}",
        "data.embeddings={instruments}/text.npy,{instruments}/image.npy",
    ),
}  # fmt: skip


class World(NamedTuple):
    """A name, a profile and the key=value that make it."""

    name: str
    profile: str
    overrides: tuple[str, ...]


def read(words: Sequence[str], options: Namespace) -> tuple[list[World], list[str]]:
    """The worlds among `words`, and the key=value for all of them.

    A world is one of NAMED, or name=profile,key=value,...; a key has a dot, or is one of RUN.
    """
    worlds, overrides = [], []
    for word in words:
        name, equals, text = word.partition("=")
        if equals and ("." in name or name in RUN):
            overrides.append(word)
        elif equals:
            profile, *own = re.split(r",(?=[\w.]+=)", text)
            worlds.append(World(name, profile, tuple(own)))
        else:
            worlds.append(_named(word, options))
    names = [world.name for world in worlds]
    if not worlds or len(set(names)) < len(names):
        raise InputError(f"got the worlds {names}, expected one or more of different names")
    return worlds, overrides


def _named(name: str, options: Namespace) -> World:
    if name not in NAMED:
        raise InputError(
            f"no world {name!r}; there are {', '.join(NAMED)}, and name=profile,key=value,..."
        )
    profile, *own = NAMED[name]
    for folder in ("microlens", "instruments"):
        if f"{{{folder}}}" in "".join(own) and not getattr(options, folder):
            raise InputError(f"world {name}: add --{folder} FOLDER")
    return World(name, profile, tuple(word.format(**vars(options)) for word in own))
