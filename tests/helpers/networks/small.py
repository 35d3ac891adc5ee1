"""Small networks and rows in float64 for the tests of models."""

import torch

from models.batches.rows import Rows, spans
from models.items import ItemTable
from models.layers.columns import Columns
from models.layers.ragged import History
from models.network import Network
from models.settings import FitSettings, NetworkSettings

N_ITEMS, N_TAGS, CONTENT, N_USERS = 12, 7, 6, 9
LENGTHS = (0, 1, 3, 5, 2)  # an empty history among them


def items(seed: int = 0) -> ItemTable:
    """Tags left-padded, item 3 without any; content of row 0 not zero; two levels of codes."""
    g = torch.Generator().manual_seed(seed)
    tags = torch.randint(1, N_TAGS, (N_ITEMS, 5), generator=g)
    n_padding = torch.arange(N_ITEMS) % 5
    tags[torch.arange(5) < n_padding[:, None]] = 0
    tags[0] = tags[3] = 0
    content = torch.randn(N_ITEMS, CONTENT, generator=g, dtype=torch.float64)
    likes, views = torch.randint(0, 11, (2, N_ITEMS), generator=g)
    codes = torch.randint(0, 3, (N_ITEMS, 2), generator=g) + torch.tensor([1, 4])
    codes[0] = codes[3] = 0
    return ItemTable(
        tags=tags, content=content, n_tags=N_TAGS, likes=likes, views=views, codes=codes, n_codes=7
    )


def rows(seed: int = 0, n_rows: int = 8) -> tuple[Rows, torch.Tensor]:
    """`n_rows` rows over five shared histories, and their labels (both classes)."""
    g = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()])
    data = Rows(
        user=torch.arange(n_rows, dtype=torch.int32) // 2,
        item=torch.randint(1, N_ITEMS, (n_rows,), generator=g, dtype=torch.int32),
        likes=torch.randint(0, 11, (n_rows,), generator=g).to(torch.uint8),
        views=torch.randint(0, 11, (n_rows,), generator=g).to(torch.uint8),
        history=(torch.arange(n_rows) % len(LENGTHS)).to(torch.int32),
        values=torch.randint(1, N_ITEMS, (sum(LENGTHS),), generator=g, dtype=torch.int32),
        **spans(offsets),
        n_items=N_ITEMS,
        max_len=4,
    )
    return data, (torch.arange(n_rows) % 3 == 0).double()


def network(settings: NetworkSettings, seed: int = 0, columns: Columns | None = None) -> Network:
    """A network in float64, whose weights are large enough to show mistakes."""
    torch.manual_seed(seed)
    net = Network(settings, items(), N_USERS, columns).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
        for module in net.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight[0] = 0
    return net


def settings(**changed) -> NetworkSettings:
    defaults = {"interest": "asta", "interaction": "qnn", "embedding_dim": 4, "max_len": 4}
    return NetworkSettings(**defaults | {"fit": FitSettings(batch_size=4, max_epochs=3)} | changed)


def history(lengths: tuple[int, ...], n_items: int, seed: int = 0) -> History:
    """Random positions for rows of the given lengths."""
    g = torch.Generator().manual_seed(seed)
    position = torch.randint(0, n_items, (sum(lengths),), generator=g)
    row = torch.repeat_interleave(torch.tensor(lengths))
    return History(position, row, torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()]))
