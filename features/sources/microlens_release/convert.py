"""A public MicroLens release is converted to the challenge's schema.

files.py reads the release, items.py makes the item table, rows.py makes rows from events; this file
writes them. How the challenge drew its negatives and set the borders of its levels is not
published: ours are look-alikes. Equal settings and files give equal bytes.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.sources.microlens_release import files
from features.sources.microlens_release.files import gather
from features.sources.microlens_release.items import ReleaseItems, item_table
from features.sources.microlens_release.paths import find
from features.sources.microlens_release.rows import (
    Events,
    ReleaseRows,
    ReleaseSettings,
    padded_history,
    sort_events,
    split_rows,
)
from features.store.arrow_lists import lists
from features.store.schema import MODALITIES, SPLITS

BATCH_ITEMS = 10_000_000  # history items, with padding, in memory at once


def write(settings: ReleaseSettings, folder: Path) -> dict[str, int]:
    """Write folder/challenge/*.parquet and folder/hidden_labels.parquet.

    Returns counts: rows of each split, `items` (of the release), `users` (with rows), `left_out`
    (users without a positive). Raises InputError if the release cannot be read or is too small.
    """
    pairs_path, titles_path, counts_path, *array_paths = find(settings.dir, settings.embeddings)
    (pairs, n_users), titles, counts = gather(
        partial(files.read_pairs, pairs_path),
        partial(files.read_titles, titles_path),
        partial(files.read_counts, counts_path),
    )
    listed = np.unique(np.concatenate([table["item"] for table in (pairs, titles, counts)]))
    arrays = gather(*(partial(files.read_array, path, int(listed[-1])) for path in array_paths))
    events = sort_events(pairs, settings)
    rows = gather(*(partial(split_rows, events, split, settings) for split in SPLITS))
    rows = dict(zip(SPLITS, rows, strict=True))
    items = item_table(titles, counts, arrays, listed, settings.tags, settings.seed)

    challenge = folder / "challenge"
    challenge.mkdir(parents=True)
    _write_items(items, challenge)
    for split in SPLITS:
        _write_rows(challenge / f"{split}.parquet", rows[split], events, items, settings)
    label = rows["test"].label
    pq.write_table(
        pa.table({"ID": np.arange(len(label)), "label": label}), folder / "hidden_labels.parquet"
    )
    n_with_rows = len(np.unique(np.concatenate([events.user[r.target] for r in rows.values()])))
    sizes = {split: len(rows[split].item) for split in SPLITS}
    return sizes | {"items": len(listed), "users": n_with_rows, "left_out": n_users - n_with_rows}


def _write_rows(
    path: Path, rows: ReleaseRows, events: Events, items: ReleaseItems, settings: ReleaseSettings
) -> None:
    fields = {"user_id": pa.int64(), "item_seq": pa.list_(pa.int32()), "item_id": pa.int64()}
    fields |= {"likes_level": pa.int64(), "views_level": pa.int64()}
    test = path.stem == "test"
    schema = pa.schema({"ID": pa.int64()} | fields if test else fields | {"label": pa.int64()})
    with pq.ParquetWriter(path, schema) as file:
        n_rows = BATCH_ITEMS // settings.history_width
        for begin in range(0, len(rows.item), n_rows):
            target, item, label = (column[begin : begin + n_rows] for column in rows)
            columns = {
                "ID": np.arange(begin, begin + len(item)),
                "user_id": events.user[target],
                "item_seq": lists(padded_history(events, target, settings.history_width)),
                "item_id": item,
                "likes_level": items.likes[item],
                "views_level": items.views[item],
                "label": label,
            }
            file.write_table(pa.table({n: columns[n] for n in schema.names}, schema=schema))


def _write_items(items: ReleaseItems, folder: Path) -> None:
    """item_info with row 0, item_feature without it, as in the challenge."""
    ids = np.arange(len(items.title))
    tags = lists(items.tags)
    info = {"item_id": ids, "item_tags": tags, "item_emb_d128": lists(items.content)}
    pq.write_table(pa.table(info), folder / "item_info.parquet")
    feature = {
        "item_id": ids,
        "item_title": items.title.to_arrow().cast(pa.string()),
        "item_tags": tags,
        "likes_level": items.likes,
        "views_level": items.views,
    }
    if len(items.modalities) == len(MODALITIES):
        feature |= dict(zip(MODALITIES, map(lists, items.modalities), strict=True))
    pq.write_table(pa.table(feature)[1:], folder / "item_feature.parquet")
