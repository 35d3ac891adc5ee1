"""Stores of small samples, clean or with a plant, for the tests of 15_probe."""

from pathlib import Path

from features.settings import SampleSettings
from features.sources import sample
from features.store import prepare, schema
from features.store.store import Store, open_store
from pipeline.probes import leaks

SIZE = {"users": 1200, "valid_users": 300, "test_users": 500, "items": 400, "tags": 60}
FEW_ROWS = {"items": 1500}  # few rows per item, so that its click rate is much its own label
SIZES = dict.fromkeys(("tag_order", "content_sign", "content_rate"), FEW_ROWS)


def sample_store(folder: Path, **settings) -> Store:
    """The store of a sample of SIZE, or of the size at which its plant is seen."""
    size = SIZE | SIZES.get(settings.get("plant", "none"), {})
    sample.write(SampleSettings(**size | settings), folder / "world")
    (folder / "store").mkdir()
    prepare.write_store(folder / "store", schema.files(folder / "world/challenge"), False)
    return open_store(folder / "store")


def probed(store: Store) -> dict:
    """probe.json of a store, without progress bars."""
    return leaks.probe(store, lambda steps, _: steps)


def names(result: dict) -> list[str]:
    """The findings of a probe.json."""
    return [finding["name"] for finding in result["findings"]]
