"""A tiny generated MicroLens release, and the files that its conversion writes."""

from pathlib import Path

import numpy as np
import polars as pl

from features.settings import ReleaseSettings
from features.sources.microlens_release import convert as release

N_USERS, LARGEST = 120, 60
UNTITLED = 7  # an id with events but without a title; ids divisible by 11 occur nowhere
IDS = np.array([i for i in range(1, LARGEST + 1) if i % 11])
RNG = np.random.default_rng(1)
EVENTS = {user: RNG.choice(IDS, size=2 + user % 9, replace=False) for user in range(1, N_USERS + 1)}
TITLES = {
    1: "plain words, no tag",
    2: 'quoted ""words"" # Two  Yuan #TWO YUAN# fish',
    3: "many #a #b #fish #c # two yuan #d",
    **{int(i): f"video {i} about thing{i % 5} # Two Yuan" for i in IDS if i not in (1, 2, 3, 7)},
}


def tsv(events=EVENTS):
    lines = (f"{user}\t{' '.join(map(str, items))}" for user, items in events.items())
    return "\r\n".join(lines) + "\r\n"


def csv(events=EVENTS):
    rows = [(u, i, 1000 + t) for u, items in events.items() for t, i in enumerate(items)]
    rows = [rows[j] for j in np.random.default_rng(2).permutation(len(rows))]
    return "user,item,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows)


def titles():
    return "item,title\n" + "".join(f'{item},"{title}"\n' for item, title in TITLES.items())


def counts():
    return "".join(f"{item}\t{item * 10}\t{5000 - item}\n" for item in TITLES)


def write_release(folder: Path) -> Path:
    """Write the three files of the release into `folder`."""
    folder.mkdir()
    (folder / "Tiny_pairs.tsv").write_text(tsv())
    (folder / "Tiny_titles.csv").write_text(titles())
    (folder / "Tiny_likes_and_views.txt").write_text(counts())
    return folder


def convert(source, name="out", **settings):
    out = source.parent / name
    report = release.write(ReleaseSettings(dir=str(source), **settings), out)
    return out, report


def tables(out):
    """Splits by name; test has its hidden labels as a column."""
    parts = {path.stem: pl.read_parquet(path) for path in (out / "challenge").glob("*.parquet")}
    hidden = pl.read_parquet(out / "hidden_labels.parquet")
    assert parts["test"]["ID"].equals(hidden["ID"])
    parts["test"] = parts["test"].with_columns(hidden["label"])
    return parts


def file_bytes(out):
    return {p.relative_to(out): p.read_bytes() for p in sorted(out.rglob("*.parquet"))}
