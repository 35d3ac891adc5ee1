"""The item table of a MicroLens release: tags, levels and content of every item.

tags     hashtags of the title, if they are among the most frequent
levels   1 + how many of the nine decile borders (over items) are below the count; 0: unknown
content  SVD of the titles' TF-IDF, or PCA of standardised arrays side by side (the challenge's
         recipe, see features/store/content.py); 128 numbers, scaled by one factor to a mean squared
         length of 1
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from features.errors import InputError
from features.store.content import item_vectors, standardised

TAG_SLOTS = 5
CONTENT_WIDTH = 128


class ReleaseItems(NamedTuple):
    """The item table: row number == id; zeros in row 0 and for everything unknown."""

    title: pl.Series  # (I,) String
    tags: np.ndarray  # (I, 5) int64, left-padded; 1: the most frequent
    likes: np.ndarray  # (I,) int64
    views: np.ndarray  # (I,) int64
    content: np.ndarray  # (I, 128) float32
    modalities: list[np.ndarray]  # (I, width) float32 each


def item_table(
    titles: pl.DataFrame,
    counts: pl.DataFrame,
    arrays: list[np.ndarray],
    listed: np.ndarray,
    n_tags: int,
    seed: int,
) -> ReleaseItems:
    """Rows 0 .. listed[-1]; `listed` are the ids, ascending, that occur anywhere in the release."""
    table = pl.DataFrame({"item": np.arange(listed[-1] + 1)})
    for more in (titles.drop("line"), counts.drop("line")):
        table = table.join(more, on="item", how="left", validate="1:1", maintain_order="left")
    title = table["title"].fill_null("")
    return ReleaseItems(
        title=title,
        tags=tag_table(title, n_tags),
        likes=decile_levels(table["likes"]),
        views=decile_levels(table["views"]),
        content=content_vectors(title, arrays, listed, seed),
        modalities=arrays,
    )


def tag_table(titles: pl.Series, n_tags: int) -> np.ndarray:
    """int64 (I, 5): each title's first five hashtags among the `n_tags` that most titles have.

    A hashtag reaches from # to the next # or the end; case and white space do not matter.
    """
    hashtag = titles.alias("tag").str.to_lowercase().str.extract_all("#[^#]+")
    tags = hashtag.to_frame().with_row_index("item").explode("tag")
    clean = pl.col("tag").str.strip_prefix("#").str.replace_all(r"\s+", " ").str.strip_chars()
    tags = tags.with_columns(clean).filter(pl.col("tag") != "").unique(maintain_order=True)
    frequent = tags.group_by("tag").len().sort("len", "tag", descending=[True, False]).head(n_tags)
    place = pl.int_range(pl.len()).over("item")
    tags = (
        tags.join(frequent.with_row_index("id", 1), on="tag", validate="m:1", maintain_order="left")
        .filter(place < TAG_SLOTS)
        .with_columns(slot=TAG_SLOTS - pl.len().over("item").cast(pl.Int64) + place)
    )
    table = np.zeros((len(titles), TAG_SLOTS), np.int64)
    table[tags["item"].to_numpy(), tags["slot"].to_numpy()] = tags["id"].to_numpy()
    return table


def decile_levels(counts: pl.Series) -> np.ndarray:
    """int64 (I,) in 1..10 by the deciles of the known counts; 0 where the count is null."""
    values = counts.drop_nulls().to_numpy()
    levels = np.zeros(len(counts), np.int64)
    if len(values):
        borders = np.quantile(values, np.arange(1, 10) / 10)
        levels[counts.is_not_null().to_numpy()] = 1 + np.searchsorted(borders, values)
    return levels


def content_vectors(
    titles: pl.Series, arrays: list[np.ndarray], listed: np.ndarray, seed: int
) -> np.ndarray:
    """float32 (I, 128): components of the listed items; zeros for other ids and beyond the rank."""
    if arrays:
        method = PCA
        features = standardised(np.hstack([array[listed] for array in arrays]))
    else:
        method, features = TruncatedSVD, _tf_idf(titles.gather(listed))
    width = min(CONTENT_WIDTH, *features.shape)
    components = method(width, random_state=seed).fit_transform(features)
    return item_vectors(components, listed, len(titles), CONTENT_WIDTH)


def _tf_idf(titles: pl.Series):
    try:
        return TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(titles)
    except ValueError as error:
        raise InputError(f"the titles hold no words ({error}); set data.embeddings") from error
