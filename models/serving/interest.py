"""Interest parts for serving: N candidates attend to one history, all at once.

a (N, L) is the weight of history entry s for candidate t:

    asta    a = relu(t . key[s]),   z = t + a value[s]   (or another function than relu)
            key = W_k^T W_q r / sqrt(A) and value = W_o W_v r are tables over all items
    din     a = MLP(relu(of_target[t] + of_item[s] + W4 (t * s))),   z = a r(s)
            of_target = (W1 + W3) r + b and of_item = (W2 - W3) r are tables over all items
    mean    a = 1 / n,   z = a r(s)

A Transformer follows its formula, except that its first layer projects entries and candidates
instead of pairs: W [s ; t] = W_s s + W_t t. Padding, entry 0, changes nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.din_attention import DinAttention
from models.layers.fusion import FusedLinear, fuse
from models.layers.mean_pooling import MeanPooling
from models.layers.sparse_target_attention import SparseTargetAttention
from models.layers.transformer import TransformerInterest
from models.serving.tables import product, tabulate, take

MASKED = -1e30  # score of padding; finite, for the softmax of a history that is all padding


class NoServingForm(TypeError):
    """A part of a network that trains and predicts, but that cannot be served or exported."""


def serving_interest(part: nn.Module, items: Tensor, dtype: torch.dtype) -> nn.Module:
    """The serving form of the interest part `part`, for the items `items` (I, D) float64.

    A serving form has
        forward(items, target, candidates, history) -> z (N, Z) and a (N, L), None where there are
            no weights; items (I, D) of `dtype`, target (N, D), candidates (N,), history (L,)
        shortest  the least L that it takes
    Raises NoServingForm.
    """
    match part:
        case MeanPooling():
            return Mean()
        case DinAttention():
            return Din(part, items, dtype)
        case SparseTargetAttention():
            return Asta(part, items, dtype)
        case TransformerInterest():
            return Transformer(part)
    raise NoServingForm(
        f"the interest part {type(part).__name__} has no serving form: add one to"
        " models/serving/interest.py; without one it can train and predict only"
    )


class Mean(nn.Module):
    """models.layers.mean_pooling; see serving_interest."""

    shortest = 1

    def forward(
        self, items: Tensor, target: Tensor, candidates: Tensor, history: Tensor
    ) -> tuple[Tensor, Tensor]:
        real = (history != 0).to(items.dtype)
        weight = (real / real.sum().clamp(min=1)).expand(target.shape[0], -1)
        return weight @ take(items, history), weight


class Asta(nn.Module):
    """models.layers.sparse_target_attention; see serving_interest."""

    shortest = 1

    def __init__(self, part: SparseTargetAttention, items: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        match = part.query.weight.T @ part.key.weight * part.scale  # score = t match s
        self.key = tabulate(items, match, dtype)
        self.value = tabulate(items, part.out.weight @ part.value.weight, dtype)
        self.weights = part.weights
        self.offset, self.position = (
            None if learned is None else nn.Buffer(learned.detach().to(dtype))
            for learned in (part.offset, part.position)
        )

    def forward(
        self, items: Tensor, target: Tensor, candidates: Tensor, history: Tensor
    ) -> tuple[Tensor, Tensor]:
        score, padding = product(target, take(self.key, history)), history == 0
        if self.position is not None:
            score = score + self.position[age(padding).clamp(max=len(self.position) - 1)]
        weight = self.weigh(score, padding)
        return target + weight @ take(self.value, history), weight

    def weigh(self, score: Tensor, padding: Tensor) -> Tensor:
        score = score.masked_fill(padding, MASKED)
        match self.weights:
            case "relu":
                return torch.relu(score)
            case "relu_offset":
                return torch.relu(score + self.offset)
            case "relu2":
                return torch.relu(score).square()
            case "silu":
                return F.silu(score)
            case "sigmoid":
                return score.sigmoid()
            case "softmax":
                return score.softmax(1).masked_fill(padding, 0)


def age(padding: Tensor) -> Tensor:
    """(L,) int64: how many real entries of a history follow each one; `padding` (L,) bool."""
    real = (~padding).long()
    return real.sum() - real.cumsum(0)


class Din(nn.Module):
    """models.layers.din_attention; see serving_interest."""

    shortest = 1

    def __init__(self, part: DinAttention, items: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        w_target, w_item, w_difference, w_product = part.first.weight.chunk(4, dim=1)
        self.of_target = tabulate(items, w_target + w_difference, dtype, part.first.bias)
        self.of_item = tabulate(items, w_item - w_difference, dtype)
        self.of_product = FusedLinear(w_product, None)
        self.rest = fuse(part.rest)
        self.softmax = part.softmax

    def forward(
        self, items: Tensor, target: Tensor, candidates: Tensor, history: Tensor
    ) -> tuple[Tensor, Tensor]:
        entries, padding = take(items, history), history == 0
        first = self.of_product(target[:, None] * entries)  # (N, L, H)
        first = first + take(self.of_target, candidates)[:, None] + take(self.of_item, history)
        score = self.rest(first).squeeze(2)
        if self.softmax:  # a history of padding alone attends to it, as published
            weight = score.masked_fill(padding, MASKED).softmax(1)
        else:
            weight = score.masked_fill(padding, 0)
        return weight @ entries, weight


class Transformer(nn.Module):
    """models.layers.transformer; see serving_interest."""

    def __init__(self, part: TransformerInterest) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(layer) for layer in part.layers)
        self.out = FusedLinear(part.out.weight, part.out.bias)
        self.last, self.as_published = part.last, part.as_published
        self.shortest = part.max_len if part.as_published else part.last

    def forward(
        self, items: Tensor, target: Tensor, candidates: Tensor, history: Tensor
    ) -> tuple[Tensor, None]:
        entries, kept = take(items, history), (history == 0) == self.as_published
        kept = torch.cat((kept[:-1], kept[-1:] | ~kept.any(0, keepdim=True)))
        x = pairs(entries, target)
        projected = self.layers[0].project_pairs(entries, target)
        for layer in self.layers:
            x, projected = layer(x, kept, projected), None
        ignored = ~kept[:, None]
        last = x.masked_fill(ignored, 0)[:, -self.last :].flatten(1)
        highest = x.masked_fill(ignored, MASKED).amax(1)
        return torch.cat((last, self.out(highest)), dim=1), None


def pairs(entries: Tensor, target: Tensor) -> Tensor:
    """[s ; t] (N, L, 2 D) of `entries` (L, D) and `target` (N, D)."""
    shape = (target.shape[0], entries.shape[0], -1)
    return torch.cat((entries.expand(shape), target[:, None].expand(shape)), dim=2)


class EncoderLayer(nn.Module):
    """nn.TransformerEncoderLayer in eval mode, one mask for all rows.

    Shapes:
        x          (N, L, W)
        kept       (L,)  bool, whether an entry is attended to
        projected  (N, L, 3 W)  queries, keys and values of x; None: they are computed here
        returns    (N, L, W)
    """

    def __init__(self, layer: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        attention = layer.self_attn
        self.project = FusedLinear(attention.in_proj_weight, attention.in_proj_bias)
        self.of_entry, self.of_target = (
            nn.Buffer(half.contiguous()) for half in attention.in_proj_weight.chunk(2, dim=1)
        )
        self.out = FusedLinear(attention.out_proj.weight, attention.out_proj.bias)
        self.up = FusedLinear(layer.linear1.weight, layer.linear1.bias)
        self.down = FusedLinear(layer.linear2.weight, layer.linear2.bias)
        self.norm1, self.norm2 = layer.norm1, layer.norm2
        self.heads = attention.num_heads

    def project_pairs(self, entries: Tensor, target: Tensor) -> Tensor:
        """The projections (N, L, 3 W) of [s ; t]; see `pairs`."""
        of_target = product(target, self.of_target, self.project.bias)
        return product(entries, self.of_entry) + of_target[:, None]

    def forward(self, x: Tensor, kept: Tensor, projected: Tensor | None) -> Tensor:
        projected = self.project(x) if projected is None else projected
        q, k, v = projected.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=kept[None, None, None])
        x = self.norm1(x + self.out(attended.transpose(1, 2).flatten(2)))
        return self.norm2(x + self.down(torch.relu(self.up(x))))
