"""A plain reader of the challenge's files: slow loops over Python values, none of our code."""

import io
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers.mutations.challenge_files import INT64


class InvalidFiles(Exception):
    """Raised for files that 10_prepare must refuse, with the reason."""


def require(condition: bool, rule: str) -> None:
    """Raises InvalidFiles that names the broken rule."""
    if not condition:
        raise InvalidFiles(rule)


def whole_numbers(values: list, low: int, high: int, name: str, integers: bool = True) -> list[int]:
    """`values` as integers in [low, high]; with integers=False also floats such as 1.0."""
    for value in values:
        require(isinstance(value, (int, float, np.floating)), f"{name} {value!r}")
        require(not integers or type(value) is int, f"{name} {value!r}")
        require(math.isfinite(value) and value == int(value), f"{name} {value!r}")
        require(low <= value <= high, f"{name} {value!r}")
    return [int(value) for value in values]


def require_width(values: list, width: int, rule: str) -> None:
    for value in values:
        require(isinstance(value, list) and len(value) == width and None not in value, rule)


def read_columns(data: bytes, names: list[str], file: str) -> tuple[dict[str, list], pa.Schema]:
    """The columns of a parquet file as lists of Python values, and the schema."""
    try:
        opened = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        table = opened.read(names)
        require(table.num_rows == opened.metadata.num_rows, "as many rows as the footer says")
        columns = {name: table[name].to_pylist() for name in names}
    except InvalidFiles:
        raise
    except Exception as error:
        raise InvalidFiles(f"{file}: {error}") from error
    require(table.num_rows > 0, f"{file} has no rows")
    for name in set(names) & {"likes_level", "views_level", "label"}:
        dtype, types = table.schema.field(name).type, pa.types
        numeric = types.is_integer(dtype) or types.is_boolean(dtype) or types.is_floating(dtype)
        require(numeric, f"{name} {dtype}")
    return columns, table.schema


def require_integer_types(schema: pa.Schema, names: list[str]) -> None:
    """For columns of integers, and of lists of integers."""
    for name in names:
        dtype = schema.field(name).type
        is_list = any(
            test(dtype)
            for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        )
        require(pa.types.is_integer(dtype.value_type if is_list else dtype), f"{name} {dtype}")


def padded_width(files: dict[str, bytes]) -> int:
    """The commonest length of the lists in the first split that has a padded one."""
    for name in ("train", "valid", "test"):
        histories = read_columns(files[name], ["item_seq"], name)[0]["item_seq"]
        histories = [history for history in histories if isinstance(history, list)]
        if any(0 in history for history in histories):
            lengths = sorted(map(len, histories))
            return max(lengths, key=lengths.count)  # the smallest of several
    return 0


def read_plainly(files: dict[str, bytes]) -> dict:
    """The contents that a store of `files` must have. Raises InvalidFiles."""
    info, schema = read_columns(
        files["item_info"], ["item_id", "item_tags", "item_emb_d128"], "info"
    )
    require_integer_types(schema, ["item_id", "item_tags"])
    n_items = len(info["item_id"])
    require(info["item_id"] == list(range(n_items)), "item_id is the row's number")
    require_width(info["item_tags"], 5, "five tags per item")
    require_width(info["item_emb_d128"], 128, "128 content values per item")
    for tags in info["item_tags"]:
        whole_numbers(tags, 0, 2**31 - 1, "tag")
    for vector in info["item_emb_d128"]:
        largest = float(np.finfo(np.float32).max)
        require(
            all(not isinstance(x, (int, str)) and abs(x) <= largest for x in vector),
            "content is finite float32",
        )
    require(not any(info["item_tags"][0]) and not any(info["item_emb_d128"][0]), "row 0 is padding")
    contents = {"tags": info["item_tags"], "content": info["item_emb_d128"]}

    names = ["item_id", "likes_level", "views_level"]
    feature, schema = read_columns(files["item_feature"], names, "item_feature")
    require_integer_types(schema, ["item_id"])
    ids = whole_numbers(feature["item_id"], 1, n_items - 1, "item_id")
    require(len(set(ids)) == len(ids), "no item occurs twice")
    for name in names[1:]:
        contents[name] = [0] * n_items
        for item, level in zip(ids, whole_numbers(feature[name], 0, 10, name, False), strict=True):
            contents[name][item] = level

    width = padded_width(files)
    for name in ("train", "valid", "test"):
        last = "ID" if name == "test" else "label"
        names = ["user_id", "item_seq", "item_id", "likes_level", "views_level", last]
        rows, schema = read_columns(files[name], names, name)
        require_integer_types(
            schema, ["user_id", "item_seq", "item_id", *["ID"] * (name == "test")]
        )
        for history in rows["item_seq"]:
            require(
                isinstance(history, list) and None not in history, "no null, and none in a list"
            )
            whole_numbers(history, 0, n_items - 1, "history")
        if any(0 in history for history in rows["item_seq"]):
            for history in rows["item_seq"]:
                real = [i for i in history if i]
                padded = [0] * (width - len(real)) + real
                require(len(history) == width and history == padded, "left padding, one width")
        whole_numbers(rows["user_id"], 0, 2**31 - 1, "user")
        whole_numbers(rows["item_id"], 1, n_items - 1, "item")
        for level in ("likes_level", "views_level"):
            rows[level] = whole_numbers(rows[level], 0, 10, level, False)
        if name == "test":
            whole_numbers(rows["ID"], -INT64, INT64 - 1, "ID")
            require(len(set(rows["ID"])) == len(rows["ID"]), "no ID occurs twice")
        else:
            rows["label"] = whole_numbers(rows["label"], 0, 1, "label", False)
            require(set(rows["label"]) == {0, 1}, "both labels")
        contents[name] = rows
    return contents
