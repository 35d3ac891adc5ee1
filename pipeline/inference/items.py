"""The items of a checkpoint's network: a store of 10_prepare, or item_info.parquet."""

from pathlib import Path

from features.errors import InputError
from features.store import scoring_inputs
from features.store.store import Items, open_store
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import RECORD, refuse_old_record
from pipeline.inference.checkpoints import Checkpoint
from pipeline.runtime.progress import RowBars

ITS_STORE = "--items artifacts/<profile>/10_prepare/store-<hash>, which it was trained on"


def read_items(path: Path, checkpoint: Checkpoint) -> Items:
    """The items in `path`, checked against the network's tables. Raises InputError."""
    if path.is_dir():
        return open_items(path, checkpoint)
    check_item_info(path, checkpoint)
    return scoring_inputs.read_items(path, checkpoint.vocab, RowBars())


def open_items(store: Path, checkpoint: Checkpoint) -> Items:
    """The items of a store. Raises InputError where the network's tables are of other items."""
    refuse_old_record(store)
    items = open_store(store).items
    check_tables(store, items, checkpoint)
    check_origin(store, checkpoint)
    return items


def check_item_info(path: Path, checkpoint: Checkpoint) -> None:
    """Raise InputError where the network reads what item_info does not hold."""
    if checkpoint.settings.item_codes:
        raise InputError(
            f"the network reads semantic codes, which {path} does not hold; give {ITS_STORE}"
        )
    if checkpoint.content != "given":
        raise InputError(
            f"{checkpoint.path} was trained on prepare.content={checkpoint.content}, which {path}"
            f" does not hold; give {ITS_STORE}"
        )


def check_tables(store: Path, items: Items, checkpoint: Checkpoint) -> None:
    """Raise InputError where ids or widths of a store do not fit the network's tables."""
    vocab = checkpoint.vocab
    sizes = {
        "items": (len(items), vocab.n_items),
        "numbers in a content vector": (items.content.shape[1], vocab.content_width),
    }
    problems = [f"{n} {what}, expected {want}" for what, (n, want) in sizes.items() if n != want]
    tables = {"tags": vocab.n_tags}
    if checkpoint.settings.item_codes:
        tables["codes"] = checkpoint.table_shape("item.code")[0]
    for name, n_rows in tables.items():
        ids = getattr(items, name)
        if ids is not None and ids.size and ids.max() >= n_rows:
            problems.append(f"{name} up to {ids.max()}, expected at most {n_rows - 1}")
    if problems:
        raise InputError(
            f"{store} holds {'; '.join(problems)}, as in the tables of {checkpoint.path}"
        )


def check_origin(store: Path, checkpoint: Checkpoint) -> None:
    """Note another store than that of the training; raise InputError where it cannot be used."""
    if checkpoint.store is None:
        return
    record = read_json(store / RECORD) if (store / RECORD).is_file() else {}
    if record.get("digest") == checkpoint.store:
        return
    content = record.get("settings", {}).get("content", "given")
    if checkpoint.settings.item_codes or checkpoint.content != content:
        raise InputError(
            f"{store} is not the store that {checkpoint.path} was trained on, and its codes or"
            f" content vectors mean something else; give {ITS_STORE}"
        )
    note = f"{store} is not the store that {checkpoint.path} was trained on"
    print(f"90_score note: {note}", flush=True)
