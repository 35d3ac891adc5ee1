"""How published implementations train and score: padded, by the plain formulas, from a DataLoader.

bench.train compares our speed with this one. Histories are padded on the left to max_len; every
position is embedded, mapped and projected, and the weights of the padding are set to zero
afterwards. A DataLoader picks rows one by one and collates them; the L2 term is part of the loss;
gradient norm and Adam loop over the parameters. The weights are those of a `Network`, and a test
compares the logits of both: they are equal up to rounding.

It is faster than the published code in one respect: the collate function looks up items in arrays.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from models.batches.rows import Rows
from models.layers.din_attention import DinAttention
from models.layers.dropout import Dropout
from models.layers.final.distillation import self_distillation
from models.layers.precision import Linear
from models.layers.quadratic import QuadraticLayer, QuadraticNetwork
from models.layers.sparse_target_attention import SparseTargetAttention
from models.network import Network
from models.settings import FitSettings


class PaddedRows(Dataset):
    """The rows of one split as arrays; an item of the dataset is a row."""

    def __init__(self, rows: Rows, label: Tensor) -> None:
        names = ("item", "likes", "views", "history", "values", "begin", "end")
        self.arrays = {name: getattr(rows, name).cpu().numpy() for name in names}
        self.label = label.cpu().numpy()
        self.max_len = rows.max_len

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int, int, int, float]:
        a = self.arrays
        start, end = a["begin"][a["history"][i]], a["end"][a["history"][i]]
        recent = a["values"][max(start, end - self.max_len) : end]
        padded = np.zeros(self.max_len, np.int64)
        padded[self.max_len - len(recent) :] = recent
        return padded, a["item"][i], a["likes"][i], a["views"][i], self.label[i]


def collate(rows: list) -> tuple[Tensor, ...]:
    """History (B, L), item, likes, views (B,) int64, label (B,) float32."""
    *ids, label = (np.stack(column) for column in zip(*rows, strict=True))
    return *(torch.from_numpy(column.astype(np.int64)) for column in ids), torch.from_numpy(label)


def loader(
    rows: Rows, label: Tensor, batch_size: int, shuffle: bool, workers: int = 0
) -> DataLoader:
    """Batches that `workers` processes load; on a CPU none, since training needs all cores."""
    dataset = PaddedRows(rows, label)
    return DataLoader(dataset, batch_size, shuffle, num_workers=workers, collate_fn=collate)


def asta(layer: SparseTargetAttention, sequence: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Interest (B, D) of `sequence` (B, L, D) in `target` (B, D); `mask` (B, L) is 0 at padding."""
    query, key, value = layer.query(target)[:, None], layer.key(sequence), layer.value(sequence)
    score = (query @ key.transpose(1, 2)) * layer.scale  # (B, 1, L)
    weight = torch.relu(score) * mask[:, None]
    return target + layer.out((weight @ value).squeeze(1))


def din(layer: DinAttention, sequence: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """As `asta`, by the attention of DIN."""
    t = target[:, None].expand_as(sequence)
    x = torch.cat((t, sequence, t - sequence, t * sequence), dim=-1)
    weight = layer.rest(layer.first(x)).squeeze(-1) * mask
    return (weight[:, :, None] * sequence).sum(1)


def quadratic(layer: QuadraticLayer, x: Tensor) -> Tensor:
    """One quadratic layer of x (B, X), with each row of its bank computed."""
    h = layer.dropout(layer.bank(x)).unflatten(1, (layer.rows, -1))  # (B, R, X)
    q = layer.norm((x[:, None] * h).sum(1))
    return x + layer.dropout(layer.activation(q))


class PaddedNetwork(nn.Module):
    """`network` by the plain formulas, for qin, din and final, with torch's Linear and Dropout.

    Shapes:
        history  (B, L)  int64, 0 where padding
        item     (B,)    int64; likes and views likewise
        returns  branches (B, n)
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        for part in network.modules():
            for ours, plain in ((Linear, nn.Linear), (Dropout, nn.Dropout)):
                if isinstance(part, ours):
                    part.__class__ = plain
        self.attend = {SparseTargetAttention: asta, DinAttention: din}[type(network.interest)]

    def forward(self, history: Tensor, item: Tensor, likes: Tensor, views: Tensor) -> Tensor:
        net = self.network
        item_ids = torch.cat((history, item[:, None]), dim=1)
        represented = self.represent(item_ids)
        sequence, target = represented[:, :-1], represented[:, -1]
        mask = (history > 0).to(sequence.dtype)
        interest = self.attend(net.interest, sequence, target, mask)
        x = torch.cat((net.likes(likes), net.views(views), target, interest), dim=1)
        if isinstance(net.interaction, QuadraticNetwork):
            for layer in net.interaction.hidden:
                x = quadratic(layer, x)
            return net.interaction.head(x)
        return net.interaction(x)

    def represent(self, item: Tensor) -> Tensor:
        """The representation r (B, L, D) of each item id in `item` (B, L)."""
        part = self.network.item
        tags = part.tags[item]
        embedded = part.tag(tags)  # (B, L, 5, E)
        count = (tags > 0).sum(-1, keepdim=True).clamp(min=1)
        mean = embedded.sum(-2) / count
        return torch.cat((part.id(item), mean, part.content_map(part.content[item])), dim=-1)


def train_step(
    padded: PaddedNetwork, batch: tuple[Tensor, ...], optimiser: torch.optim.Adam, cfg: FitSettings
) -> None:
    """Loss and L2 term, backward, clipping and Adam, which loop over the parameters."""
    *ids, label = batch
    optimiser.zero_grad()
    branches = padded(*ids)
    loss = F.binary_cross_entropy_with_logits(branches.mean(1), label)
    if padded.network.distils:
        loss = loss + self_distillation(branches)
    for table in padded.network.embedding_tables():
        loss = loss + cfg.embedding_l2 / 2 * (table**2).sum()
    loss.backward()
    nn.utils.clip_grad_norm_(padded.parameters(), cfg.clip_norm, foreach=False)
    optimiser.step()
