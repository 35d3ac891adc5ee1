"""A public MicroLens release to the challenge's schema, with rows made of its events.

    *_pairs.csv (user,item,timestamp) or *_pairs.tsv (user TAB items, oldest first); the csv is read
    where both are there, since it alone tells which events happened at the same time
    *_titles.csv (item,title) and *_likes_and_views.txt (item TAB likes TAB views)

positives  a user's last event (train: last `train_targets`), if anything came strictly before it
history    all events strictly before the positive, for its negatives as well
negatives  items that the user has no event with, no two alike for one positive
levels     1 + number of the nine decile borders (over items) below the count; 0: unknown
content    SVD of the titles' TF-IDF, or PCA of standardised arrays side by side (the challenge's
           recipe); 128 numbers, scaled by one factor to a mean square of 1

Releases: https://github.com/westlake-repl/MicroLens (research use, no redistribution). How the
challenge drew its negatives and set its level borders is not published: these are look-alikes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from features.errors import InputError
from features.histories import mix

FILES = {  # the first pattern that matches is read
    "pairs": ("*_pairs.csv", "*_pairs.tsv"),
    "titles": ("*_titles.csv",),
    "counts": ("*_likes_and_views.txt",),
}
LIMITS = {  # the item table has a row per id up to the largest, so ids may not run wild
    "user": (0, 2**31 - 1),
    "item": (1, 10_000_000),
    "timestamp": (0, 2**63 - 1),
    "likes": (0, 2**63 - 1),
    "views": (0, 2**63 - 1),
}
SPLITS = ("train", "valid", "test")
OPTIONAL = ("likes", "views")  # may be missing
NEGATIVES = {"popularity": 1.0, "mixed": 0.5, "uniform": 0.0}  # share drawn by popularity
TAG_SLOTS = 5
CONTENT_WIDTH = 128
MODALITIES = ("txt_emb_BERT", "img_emb_CLIPRN50")
BATCH_ROWS = 100_000  # rows whose padded histories are in memory at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSettings:
    """Which release, and how rows are made of its events."""

    dir: str = ""  # folder of the release
    negatives: str = "popularity"  # popularity (train users' events) | uniform | mixed (half, half)
    negatives_per_positive: int = 3
    train_targets: int = 2  # last events of a train user that become positives
    history_width: int = 100  # most recent items kept
    tags: int = 5000  # most frequent hashtags kept
    embeddings: tuple[str, ...] = ()  # .npy, row i = item i + 1; text, then image; empty: titles
    valid_share: float = 0.1  # of all users
    test_share: float = 0.1  # of all users
    seed: int = 0  # of the split, the negatives, the row order and the SVD

    def __post_init__(self) -> None:
        least = {"negatives_per_positive": 1, "train_targets": 1, "history_width": 1}
        least |= {"tags": 0, "seed": 0}
        problems = [
            f"{name} = {getattr(self, name)} must be at least {low}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if self.negatives not in NEGATIVES:
            known = ", ".join(NEGATIVES)
            problems.append(f"negatives = {self.negatives!r} must be one of {known}")
        if not (self.valid_share > 0 < self.test_share and self.valid_share + self.test_share < 1):
            problems.append(
                f"valid_share = {self.valid_share} and test_share = {self.test_share}"
                " must be positive and together less than 1"
            )
        if problems:
            raise ValueError("; ".join(problems))


class Events(NamedTuple):
    """All events, sorted by user, then time, then item; every array is (E,) int64."""

    user: np.ndarray
    item: np.ndarray
    split: np.ndarray  # of the user: index into SPLITS
    start: np.ndarray  # index of the user's first event
    end: np.ndarray  # index of the user's first event that is not strictly earlier than this one
    later: np.ndarray  # events of the user that are sorted after this one


class Items(NamedTuple):
    """The item table: row number == id, and zeros in row 0 and wherever nothing is known."""

    title: pl.Series  # (I,) String
    tags: np.ndarray  # (I, 5) int64, left-padded; 1: the most frequent
    likes: np.ndarray  # (I,) int64
    views: np.ndarray  # (I,) int64
    content: np.ndarray  # (I, 128) float32
    modalities: list[np.ndarray]  # (I, width) float32 each


class Rows(NamedTuple):
    """Rows of one split, shuffled; every array is (N,) int64."""

    target: np.ndarray  # index of the event whose user and history the row has
    item: np.ndarray
    label: np.ndarray


def inputs(settings: ReleaseSettings) -> list[Path]:
    """Every file that `write` reads: pairs, titles, counts, then the arrays.

    Raises InputError with all that is missing, or there more than once.
    """
    folder = Path(settings.dir)
    if not settings.dir or not folder.is_dir():
        found = "is empty" if not settings.dir else f"= {settings.dir} is no folder"
        raise InputError(f"data.dir {found}; name a MicroLens release's folder: data.dir=FOLDER")
    found, problems = [], []
    for patterns in FILES.values():
        matches = next(filter(None, (sorted(folder.glob(p)) for p in patterns)), [])
        names = ", ".join(path.name for path in matches) or "none"
        if len(matches) != 1:
            problems.append(f"expected one {' or '.join(patterns)}, found {names}")
        found += matches
    arrays = [Path(path) for path in settings.embeddings]
    problems += [f"data.embeddings: {path} does not exist" for path in arrays if not path.is_file()]
    if problems:
        raise InputError(f"{folder}: " + "; ".join(problems))
    return found + arrays


def write(settings: ReleaseSettings, folder: Path) -> dict[str, int]:
    """Write folder/challenge/*.parquet and folder/hidden_labels.parquet; same seed, same bytes.

    Returns counts: rows of each split, `items` (of the release), `users` (with rows), `left_out`
    (users without a positive). Raises InputError where the release cannot be read, or is too small.
    """
    pairs_path, titles_path, counts_path, *array_paths = inputs(settings)
    (pairs, n_users), titles, counts = _gather(
        partial(read_pairs, pairs_path),
        partial(read_titles, titles_path),
        partial(read_counts, counts_path),
    )
    listed = np.unique(np.concatenate([table["item"] for table in (pairs, titles, counts)]))
    arrays = _gather(*(partial(read_array, path, int(listed[-1])) for path in array_paths))
    events = sort_events(pairs, settings)
    rows = _gather(*(partial(split_rows, events, split, settings) for split in SPLITS))
    rows = dict(zip(SPLITS, rows, strict=True))
    items = item_table(titles, counts, arrays, listed, settings)

    challenge = folder / "challenge"
    challenge.mkdir(parents=True)
    _write_items(items, challenge)
    for split in SPLITS:
        _write_rows(challenge / f"{split}.parquet", rows[split], events, items, settings)
    label = rows["test"].label
    pq.write_table(
        pa.table({"ID": np.arange(len(label)), "label": label}), folder / "hidden_labels.parquet"
    )
    n_kept = len(np.unique(np.concatenate([events.user[r.target] for r in rows.values()])))
    sizes = {split: len(rows[split].item) for split in SPLITS}
    return sizes | {"items": len(listed), "users": n_kept, "left_out": n_users - n_kept}


# Reading: a value stays text until it is checked, so that a fault can be shown with its line.


def read_pairs(path: Path) -> tuple[pl.DataFrame, int]:
    """Events (user, item, time as Int64, exact repetitions once), and the number of users."""
    pairs, n_users = (_pairs_csv if path.suffix == ".csv" else _pairs_tsv)(path)
    if pairs.is_empty():
        raise InputError(f"{path}: found no events; expected users with items")
    return pairs, n_users


def _pairs_csv(path: Path) -> tuple[pl.DataFrame, int]:
    pairs = _checked(_table(path, "user,item,timestamp"), path)
    pairs = pairs.select("user", "item", time="timestamp").unique()
    return pairs, pairs["user"].n_unique()


def _pairs_tsv(path: Path) -> tuple[pl.DataFrame, int]:
    table = _table(path, "user\titems", header=False)
    items = table.select("line", item=pl.col("items").str.extract_all(r"\S+")).explode("item")
    users, items = _gather(
        partial(_checked, table.select("line", "user"), path, unique="user"),
        partial(_checked, items.drop_nulls(), path),
    )
    pairs = items.join(users, on="line", validate="m:1", maintain_order="left")
    return pairs.select("user", "item", time=pl.int_range(pl.len())), len(users)


def read_titles(path: Path) -> pl.DataFrame:
    """item Int64 (each once), title String (null: none)."""
    return _checked(_table(path, "item,title"), path, unique="item")


def read_counts(path: Path) -> pl.DataFrame:
    """item Int64 (each once), likes and views Int64 (null: unknown)."""
    return _checked(_table(path, "item\tlikes\tviews", header=False), path, unique="item")


def read_array(path: Path, n_rows: int) -> np.ndarray:
    """One modality float32 (1 + n_rows, width): row 0 zeros, row i the array's row i - 1."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: found no plain .npy array ({error})") from error
    if array.ndim != 2 or len(array) != n_rows or array.dtype.kind != "f":
        raise InputError(
            f"{path}: found {array.dtype} {array.shape}; expected floats ({n_rows}, width),"
            f" a row for every item id from 1 to {n_rows}"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{path}: found NaN or infinity; expected finite numbers")
    return np.concatenate([np.zeros((1, array.shape[1])), array], dtype=np.float32)


def _gather(*calls: Callable) -> list:
    """What every call returns; or one InputError with the messages of all that raised one."""
    results, problems = [], []
    for call in calls:
        try:
            results.append(call())
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return results


def _table(path: Path, columns: str, *, header: bool = True) -> pl.DataFrame:
    """Text columns and `line` (of the file), without blank lines. `columns`: as a header has them.

    Every line is parsed as if there were no header and one more column than expected, so that a
    wrong header and a line with too many values can be shown.
    """
    separator = "\t" if "\t" in columns else ","
    names = columns.split(separator)
    try:
        table = pl.read_csv(
            _utf8(path),
            separator=separator,
            has_header=False,
            schema=dict.fromkeys([*names, "extra"], pl.String),
            quote_char='"' if header else None,
            truncate_ragged_lines=True,
            missing_columns="insert",
            extra_columns="ignore",
        )
    except pl.exceptions.ComputeError as error:
        found = str(error).splitlines()[0]
        raise InputError(f"{path}: {found}; expected closed quotes") from error
    breaks = pl.sum_horizontal(pl.col(names).str.count_matches("\n").fill_null(0))
    table = table.with_columns(line=pl.int_range(1, pl.len() + 1) + breaks.cum_sum() - breaks)
    if header:
        found = table[:1].select(pl.concat_str(names, separator=separator, ignore_nulls=True))
        if found.to_series().to_list() != [columns]:
            raise InputError(f"{path}: line 1 is not the header; expected {columns!r}")
        table = table[1:]
    problems = _fault(path, table, "extra", pl.col("extra").is_not_null(), f"{len(names)} columns")
    if problems:
        raise InputError(*problems)
    return table.drop("extra").filter(~pl.all_horizontal(pl.col(names).is_null()))


def _utf8(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from error
    return data


def _checked(table: pl.DataFrame, path: Path, unique: str = "") -> pl.DataFrame:
    """Cast the columns of LIMITS to Int64; raises with all that are outside, or not `unique`."""
    problems = []
    for name in LIMITS.keys() & set(table.columns):
        low, high = LIMITS[name]
        number = pl.col(name).cast(pl.Int64, strict=False)
        wrong = ~number.is_between(low, high).fill_null(False)
        if name in OPTIONAL:
            wrong &= pl.col(name).is_not_null()
        problems += _fault(path, table, name, wrong, f"a whole number from {low} to {high}")
        if name == unique:
            doubled = ~number.is_first_distinct() & number.is_not_null()
            problems += _fault(path, table, name, doubled, f"every {name} once")
    if problems:
        raise InputError("\n".join(sorted(problems)))
    return table.cast({name: pl.Int64 for name in table.columns if name in LIMITS})


def _fault(path: Path, table: pl.DataFrame, name: str, wrong: pl.Expr, expected: str) -> list[str]:
    """One message with the first three wrong values of a column and their lines; or none."""
    bad = table.filter(wrong)
    if bad.is_empty():
        return []
    shown = ", ".join(
        f"{value!r} (line {line})" if value is not None else f"nothing (line {line})"
        for value, line in bad.select(name, "line").head(3).iter_rows()
    )
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return [f"{path}: {name} is {shown}{more}; expected {expected}"]


# The item table.


def item_table(
    titles: pl.DataFrame,
    counts: pl.DataFrame,
    arrays: list[np.ndarray],
    listed: np.ndarray,
    settings: ReleaseSettings,
) -> Items:
    """Rows 0 to the largest of `listed`, the ids (ascending) that occur anywhere in the release."""
    table = pl.DataFrame({"item": np.arange(listed[-1] + 1)})
    for more in (titles.drop("line"), counts.drop("line")):
        table = table.join(more, on="item", how="left", validate="1:1", maintain_order="left")
    title = table["title"].fill_null("")
    return Items(
        title=title,
        tags=tag_table(title, settings.tags),
        likes=decile_levels(table["likes"]),
        views=decile_levels(table["views"]),
        content=content_vectors(title, arrays, listed, settings.seed),
        modalities=arrays,
    )


def tag_table(titles: pl.Series, n_tags: int) -> np.ndarray:
    """int64 (I, 5): each title's first five hashtags among the `n_tags` that most titles have.

    A hashtag reaches from # to the next # or the end; case and white space do not tell two apart.
    """
    hashtag = titles.alias("tag").str.to_lowercase().str.extract_all("#[^#]+")
    tags = hashtag.to_frame().with_row_index("item").explode("tag")
    clean = pl.col("tag").str.strip_prefix("#").str.replace_all(r"\s+", " ").str.strip_chars()
    tags = tags.with_columns(clean).filter(pl.col("tag") != "").unique(maintain_order=True)
    kept = tags.group_by("tag").len().sort("len", "tag", descending=[True, False]).head(n_tags)
    place = pl.int_range(pl.len()).over("item")
    tags = (
        tags.join(kept.with_row_index("id", 1), on="tag", validate="m:1", maintain_order="left")
        .filter(place < TAG_SLOTS)
        .with_columns(slot=TAG_SLOTS - pl.len().over("item").cast(pl.Int64) + place)
    )
    table = np.zeros((len(titles), TAG_SLOTS), np.int64)
    table[tags["item"].to_numpy(), tags["slot"].to_numpy()] = tags["id"].to_numpy()
    return table


def decile_levels(counts: pl.Series) -> np.ndarray:
    """int64 (I,) in 1..10 by the deciles of the known counts; 0 where the count is null."""
    known = counts.drop_nulls().to_numpy()
    levels = np.zeros(len(counts), np.int64)
    if len(known):
        borders = np.quantile(known, np.arange(1, 10) / 10)
        levels[counts.is_not_null().to_numpy()] = 1 + np.searchsorted(borders, known)
    return levels


def content_vectors(
    titles: pl.Series, arrays: list[np.ndarray], listed: np.ndarray, seed: int
) -> np.ndarray:
    """float32 (I, 128): components of the listed items; zeros for other ids and past the rank."""
    if arrays:
        method = PCA
        features = StandardScaler().fit_transform(np.hstack([array[listed] for array in arrays]))
    else:
        method, features = TruncatedSVD, _tf_idf(titles.gather(listed))
    width = min(CONTENT_WIDTH, *features.shape)
    found = method(width, random_state=seed).fit_transform(features).astype(np.float64)
    scale = np.sqrt(np.square(found).sum() / (len(found) * CONTENT_WIDTH))
    content = np.zeros((len(titles), CONTENT_WIDTH), np.float32)
    content[listed, :width] = found / (scale or 1.0)  # 0: all items are alike
    return content


def _tf_idf(titles: pl.Series):
    try:
        return TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(titles)
    except ValueError as error:
        raise InputError(f"the titles hold no words ({error}); give data.embeddings") from error


# Rows.


def user_split(user: np.ndarray, settings: ReleaseSettings) -> np.ndarray:
    """Index into SPLITS int64 (N,), by a hash of the user id and the seed alone."""
    hashed = mix(user.astype(np.uint64) + mix(np.array([settings.seed + 1], np.uint64)))
    uniform = (hashed >> np.uint64(11)) * 2.0**-53  # in [0, 1)
    borders = 1 - settings.valid_share - settings.test_share, 1 - settings.test_share
    return np.searchsorted(borders, uniform, side="right")


def sort_events(pairs: pl.DataFrame, settings: ReleaseSettings) -> Events:
    """Events of pairs (user, item, time) in any order; equal times are ordered by item id."""
    pairs = pairs.sort("user", "time", "item")
    user, item, time = (pairs[name].to_numpy() for name in ("user", "item", "time"))
    new_user = np.append(True, user[1:] != user[:-1])
    new_time = np.append(True, time[1:] != time[:-1]) | new_user
    place = np.arange(len(user))
    starts = np.flatnonzero(new_user)
    size = np.diff(np.append(starts, len(user)))
    return Events(
        user=user,
        item=item,
        split=user_split(user, settings),
        start=np.repeat(starts, size),
        end=np.maximum.accumulate(np.where(new_time, place, 0)),
        later=np.repeat(starts + size, size) - 1 - place,
    )


def split_rows(events: Events, split: str, settings: ReleaseSettings) -> Rows:
    """Positives of one split's users and their negatives, in an order that tells nothing."""
    number, last = SPLITS.index(split), settings.train_targets if split == "train" else 1
    wanted = (events.split == number) & (events.later < last) & (events.end > events.start)
    target = np.flatnonzero(wanted)
    if not len(target):
        raise InputError(
            f"no user of {split} has an event with another strictly before it;"
            " use more users, another data.seed or other shares"
        )
    rng = np.random.default_rng([settings.seed, number])
    item = np.column_stack([events.item[target], draw_negatives(events, target, settings, rng)])
    label = np.zeros(item.shape, np.int64)
    label[:, 0] = 1
    order = rng.permutation(item.size)
    return Rows(np.repeat(target, item.shape[1])[order], item.ravel()[order], label.ravel()[order])


def draw_negatives(
    events: Events, target: np.ndarray, settings: ReleaseSettings, rng: np.random.Generator
) -> np.ndarray:
    """Item ids int64 (T, K) for T events: none of the event's user, no two alike in a row.

    What breaks that is drawn again. Raises InputError where a user leaves fewer than K items.
    """
    popular = events.item[events.split == SPLITS.index("train")]  # each as often as it occurs
    share, listed = NEGATIVES[settings.negatives], np.unique(events.item)
    user, scale = events.user[target], listed[-1] + 1
    owned = np.unique(events.user * scale + events.item)
    _check_choice(owned, user, scale, np.unique(popular) if share == 1 else listed, settings)

    def draw(n: int) -> np.ndarray:
        return np.where(rng.random(n) < share, rng.choice(popular, n), rng.choice(listed, n))

    k = settings.negatives_per_positive
    negatives = draw(len(target) * k).reshape(-1, k)
    unchecked = np.arange(len(target))
    while len(unchecked):
        drawn = negatives[unchecked]
        keys = user[unchecked, None] * scale + drawn
        place = np.minimum(np.searchsorted(owned, keys), len(owned) - 1)
        row, column = np.nonzero((owned[place] == keys) | _repeated(drawn))
        negatives[unchecked[row], column] = draw(len(row))
        unchecked = np.unique(unchecked[row])
    return negatives


def _check_choice(
    owned: np.ndarray, user: np.ndarray, scale: int, choice: np.ndarray, settings: ReleaseSettings
) -> None:
    """Refuse to draw for ever: every user must leave enough of the items in `choice`."""
    of_choice = owned[np.isin(owned % scale, choice)] // scale
    n_owned = np.searchsorted(of_choice, user, "right") - np.searchsorted(of_choice, user)
    left = len(choice) - n_owned
    if left.min() < settings.negatives_per_positive:
        raise InputError(
            f"user {user[left.argmin()]} leaves {left.min()} items to draw negatives from; expected"
            f" {settings.negatives_per_positive}: lower data.negatives_per_positive"
            " or set data.negatives=uniform"
        )


def _repeated(values: np.ndarray) -> np.ndarray:
    """Bool (T, K): True where the value stands further left in its row as well."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    again = np.zeros(values.shape, bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return again


def padded_history(events: Events, target: np.ndarray, width: int) -> np.ndarray:
    """int32 (T, width): items strictly before each target event, left-padded, newest last."""
    place = events.end[target, None] + np.arange(-width, 0)
    real = place >= events.start[target, None]
    return np.where(real, events.item[np.maximum(place, 0)], 0).astype(np.int32)


# Writing.


def _write_rows(
    path: Path, rows: Rows, events: Events, items: Items, settings: ReleaseSettings
) -> None:
    fields = {"user_id": pa.int64(), "item_seq": pa.list_(pa.int32()), "item_id": pa.int64()}
    fields |= {"likes_level": pa.int64(), "views_level": pa.int64()}
    test = path.stem == "test"
    schema = pa.schema({"ID": pa.int64()} | fields if test else fields | {"label": pa.int64()})
    with pq.ParquetWriter(path, schema) as file:
        for begin in range(0, len(rows.item), BATCH_ROWS):
            target, item, label = (column[begin : begin + BATCH_ROWS] for column in rows)
            columns = {
                "ID": np.arange(begin, begin + len(item)),
                "user_id": events.user[target],
                "item_seq": _lists(padded_history(events, target, settings.history_width)),
                "item_id": item,
                "likes_level": items.likes[item],
                "views_level": items.views[item],
                "label": label,
            }
            file.write_table(pa.table({n: columns[n] for n in schema.names}, schema=schema))


def _write_items(items: Items, folder: Path) -> None:
    """item_info has row 0, item_feature has not, as in the challenge."""
    ids = np.arange(len(items.title))
    tags = _lists(items.tags)
    info = {"item_id": ids, "item_tags": tags, "item_emb_d128": _lists(items.content)}
    pq.write_table(pa.table(info), folder / "item_info.parquet")
    feature = {
        "item_id": ids,
        "item_title": items.title.to_arrow().cast(pa.string()),
        "item_tags": tags,
        "likes_level": items.likes,
        "views_level": items.views,
    }
    if len(items.modalities) == len(MODALITIES):
        feature |= dict(zip(MODALITIES, map(_lists, items.modalities), strict=True))
    pq.write_table(pa.table(feature)[1:], folder / "item_feature.parquet")


def _lists(values: np.ndarray) -> pa.ListArray:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, values.ravel())
