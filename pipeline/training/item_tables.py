"""The store's item table as tensors for one network."""

from features.errors import InputError
from features.store.store import Items
from models.batches.rows import tensor
from models.items import ItemTable
from models.settings import NetworkSettings


def item_table(items: Items, network_cfg: NetworkSettings, model: str) -> ItemTable:
    """Raises InputError where the store lacks what the network's settings ask for."""
    if network_cfg.item_levels and items.likes is None:
        raise InputError(
            f"{model}.item_levels = true needs the items' levels, and this store has none:"
            " put item_feature.parquet beside the other files"
        )
    if network_cfg.item_codes and items.codes is None:
        raise InputError(
            f"{model}.item_codes = true needs semantic codes, and this store has none:"
            " have them fitted with prepare.codes=3"
        )

    def optional(array):
        return None if array is None else tensor(array)

    return ItemTable(
        tags=tensor(items.tags),
        content=tensor(items.content),
        n_tags=int(items.tags.max()) + 1,
        likes=optional(items.likes),
        views=optional(items.views),
        codes=optional(items.codes),
        n_codes=0 if items.codes is None else int(items.codes.max()) + 1,
    )
