"""Whether networks over fields compute on the device what they compute on the CPU.

Each network of bench.fields at its settings on Frappe_x1, without dropout, on rows drawn at random:
see `networks` in bench.gpu.correctness for what is compared.
"""

from collections.abc import Iterator

import torch
from torch import nn

from bench.fields.settings import NETWORKS, data_set, network_settings
from bench.gpu.correctness import ROWS, compared
from bench.gpu.scale import Scale
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.training.determinism import make_deterministic

DATA_SET = "frappe_x1"
TOY = ("fm", "final_1b")


def networks(scale: Scale) -> Iterator[dict]:
    """Rows as those of bench.gpu.correctness.networks."""
    make_deterministic(scale.torch_device)
    of = data_set(DATA_SET)
    g = torch.Generator().manual_seed(0)
    size = torch.tensor(of.data.sizes)
    columns = (torch.rand(ROWS, len(size), generator=g) * size).long().int()
    rows, label = FieldRows(columns), torch.randint(0, 2, (ROWS,), generator=g).float()
    for name in TOY if scale.toy else NETWORKS:
        cfg = network_settings(name, of)
        torch.manual_seed(0)
        network = FieldNetwork(cfg, of.data.sizes)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        yield from compared(name, network, rows, label, cfg, scale.torch_device)
