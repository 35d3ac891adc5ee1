"""A generated world in the challenge's schema, with the click probability of every row known.

    folder/challenge/{train,valid,test,item_info,item_feature}.parquet    as in the competition
    folder/hidden_labels.parquet    ID, label, click_probability of the test rows; and, where
                                    candidates compete, click_probability_in_slate

sample_world.py defines the world. Labels are Bernoulli draws from click_probability;
planted_leaks.py changes them if data.plant says so, and sample_slates.py draws the clicks of a
slate if data.slates does. A chunk of users is one row group and has its own random generators, so
that memory is bounded and the bytes depend only on the settings (and on the libraries' versions).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.settings import SampleSettings
from features.sources import planted_items, planted_leaks, sample_slates, sample_world
from features.sources.sample_slates import Histories
from features.sources.sample_world import (
    FRESH,
    ITEM_NOISE,
    MAPS,
    TEST,
    TRAIN,
    USERS,
    VALID,
    World,
    noisy,
    random_map,
)
from features.store.arrow_lists import lists
from features.store.schema import MODALITIES

D_TEXT, D_IMAGE = 768, 1024  # widths of MODALITIES
USERS_PER_CHUNK, ITEMS_PER_CHUNK = 25_000, 8_192
SHOWN = ["user_id", "item_seq", "item_id", "likes_level", "views_level"]


def write(settings: SampleSettings, folder: Path) -> dict[str, int]:
    """Write the files of the module docstring; return the rows of each, by its stem."""
    kind, seed = settings.plant, settings.seed
    world = sample_world.make_world(settings.items, settings.tags, seed, settings.history)
    n_users = settings.users + settings.valid_users + settings.test_users
    everyone = np.random.default_rng([seed, USERS, 0]).permutation(n_users)
    train, valid, test = np.split(
        everyone + 1, [settings.users, settings.users + settings.valid_users]
    )
    valid = planted_leaks.plant_in_users(kind, train, valid)
    favoured = planted_leaks.Favoured.of(world, n_users)
    world = planted_leaks.plant_in_world(kind, world, seed, favoured)
    rows = partial(impressions, settings, world, favoured)
    if kind in planted_items.KINDS:
        splits = ((TRAIN, train), (VALID, valid), (TEST, test))
        labels = (table for split in splits for table in rows(*split))
        world = planted_items.plant(kind, world, labels, seed)
    tables = {
        "challenge/train": only([*SHOWN, "label"], rows(TRAIN, train)),
        "challenge/valid": only([*SHOWN, "label"], rows(VALID, valid)),
        "challenge/test": only(["ID", *SHOWN], rows(TEST, test)),
        "challenge/item_info": iter([item_info(world)]),
        "challenge/item_feature": item_features(settings, world),
        "hidden_labels": (t.drop_columns(SHOWN) for t in rows(TEST, test, with_chances=True)),
    }
    (folder / "challenge").mkdir(parents=True, exist_ok=True)
    return {Path(name).name: save(folder / f"{name}.parquet", t) for name, t in tables.items()}


def save(path: Path, tables: Iterator[pa.Table]) -> int:
    """Write one or more tables to `path`, one row group per table; return the number of rows."""
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        n_rows = len(first)
        for table in tables:
            writer.write_table(table)
            n_rows += len(table)
    return n_rows


def only(columns: list[str], tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    return (table.select(columns) for table in tables)


def impressions(
    settings: SampleSettings,
    world: World,
    favoured: planted_leaks.Favoured,
    stream: int,
    user_ids: np.ndarray,
    with_chances: bool = False,
) -> Iterator[pa.Table]:
    """All columns of the users' rows, one table per chunk of users, shuffled within it.

    Chances of clicks in slates are left out without `with_chances`, because they take a while.
    """
    n_rows = 0
    for chunk, start in enumerate(range(0, len(user_ids), USERS_PER_CHUNK)):
        rng = np.random.default_rng([settings.seed, stream, chunk])
        fresh = np.random.default_rng([settings.seed, FRESH, chunk]) if with_chances else None
        users = user_ids[start : start + USERS_PER_CHUNK]
        values, offsets = sample_world.draw_histories(world, rng, len(users))
        if (stream, chunk) == (VALID, 0):
            n_train = min(settings.users, USERS_PER_CHUNK)
            values, offsets = planted_leaks.plant_in_histories(
                settings.plant, world, settings.seed, (values, offsets), n_train
            )
        histories = Histories(values, offsets, sample_world.padded(values, offsets))
        items, order, clicks = draw_clicks(settings.slates, world, histories, rng, fresh)
        user, item = order // items.shape[1], items.ravel()[order]
        columns = {
            "ID": np.arange(n_rows, n_rows + len(order)),
            "user_id": users[user],
            "item_seq": histories.padded[user],
            "item_id": item,
            "likes_level": world.likes[item],
            "views_level": world.views[item],
            **clicks,
        }
        n_rows += len(order)
        columns = planted_leaks.plant_in_rows(settings.plant, columns, stream, world, favoured, rng)
        yield pa.table(columns | {"item_seq": lists(columns["item_seq"])})


def draw_clicks(
    slates: str,
    world: World,
    histories: Histories,
    rng: np.random.Generator,
    fresh: np.random.Generator | None,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Items (H, k), the places (R,) in them of the rows, shuffled, and labels and chances (R,).

    `fresh` draws what the chances of clicks in slates need; they are left out without it.
    """
    if slates == "independent":
        items = sample_world.draw_targets(world, rng, histories.padded)
        logits = sample_world.click_logit(world, histories.values, histories.offsets, items)
        order = rng.permutation(items.size)
        chance = sample_world.sigmoid(logits.ravel()[order])
        label = (rng.random(len(order)) < chance).astype(np.int64)
        return items, order, {"label": label, "click_probability": chance}
    drawn = sample_slates.draw(slates, world, histories, rng)
    clicks = {"label": drawn.clicked.astype(np.int64)}
    if fresh is not None:
        clicks |= sample_slates.chances(slates, world, histories, drawn, fresh)
    order = rng.permutation(np.flatnonzero(drawn.weight))
    return drawn.items, order, {name: column.ravel()[order] for name, column in clicks.items()}


def item_info(world: World) -> pa.Table:
    """One row per item, row number == item_id; row 0 is padding."""
    columns = {
        "item_id": np.arange(len(world.tags)),
        "item_tags": lists(world.tags),
        "item_emb_d128": lists(world.content),
    }
    return pa.table(columns)


def item_features(settings: SampleSettings, world: World) -> Iterator[pa.Table]:
    """Titles, levels, and the wide text and image vectors, from item 1 on."""
    rng = np.random.default_rng([settings.seed, MAPS, 0])
    text, image = MODALITIES
    d_latent = world.topic.shape[1] + world.style.shape[1]
    to_text, to_image = (random_map(rng, d_latent, width) for width in (D_TEXT, D_IMAGE))
    for chunk, start in enumerate(range(1, len(world.tags), ITEMS_PER_CHUNK)):
        rng = np.random.default_rng([settings.seed, ITEM_NOISE, chunk])
        ids = np.arange(start, min(start + ITEMS_PER_CHUNK, len(world.tags)))
        latent = np.hstack([world.topic[ids], world.style[ids]])
        columns = {
            "item_id": ids,
            "item_title": pc.binary_join_element_wise("video", pa.array(ids).cast("string"), " "),
            "item_tags": lists(world.tags[ids]),
            "likes_level": world.likes[ids],
            "views_level": world.views[ids],
            text: lists(noisy(rng, latent, to_text)),
            image: lists(noisy(rng, latent, to_image)),
        }
        yield pa.table(columns)
