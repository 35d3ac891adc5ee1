"""A trained network for serving: one user's history and N candidates in, N logits out.

Nothing that all requests share is computed twice: r(i) of every item, its projections for attention
(models.serving.interest), products of weights, batch norm (models.layers.fusion). The product of
the first quadratic layer is looked up, too: x is linear in rows of tables, and so is y = W x + b,

    x = [E_likes ; E_views ; E_user ; t ; t + a value[s]]      (t + ... for asta only)
    y = likes'[.] + views'[.] + W_user u + t' + a s'           rows of tables, times W's columns

All of it equals the network in eval mode up to rounding (tests/models/serving compare the two).
"""

import copy

import torch
from torch import Tensor, nn

from models.layers.fusion import FusedLinear, fused_form
from models.layers.quadratic import FusedQuadraticLayer, FusedQuadraticNetwork
from models.layers.sparse_target_attention import SparseTargetAttention
from models.network import Network
from models.serving.interest import NoServingForm, Transformer, serving_interest
from models.serving.request import Request
from models.serving.tables import ROWS_AT_ONCE, product, tabulate, take


class ServingNetwork(nn.Module):
    """See the module docstring. On the CPU; made from `network`, it shares nothing with it.

    Shapes:
        history     (L,)  int64 item ids, oldest first, `shortest` to `longest` of them; 0 is
                          padding and changes nothing
        candidates  (N,)  int64 item ids
        likes       (N,)  int64; views likewise
        user        (1,)  int64; only networks with user_id read it
        returns     (N,)  logits, of `dtype`

    `score` takes requests as they come. `rounded` rounds the factors of matrix products to bfloat16
    where the CPU can (see models.layers.precision): faster, but no longer equal. The attribute
    `inputs` names the arguments of forward. Raises NoServingForm.
    """

    def __init__(
        self,
        network: Network,
        max_len: int,
        dtype: torch.dtype = torch.float32,
        rounded: bool = False,
    ) -> None:
        super().__init__()
        if network.columns is not None:
            raise NoServingForm("it reads columns of 30_features, which no request holds")
        network = copy.deepcopy(network).to("cpu", torch.float64).eval().requires_grad_(False)
        ids = torch.arange(len(network.item.tags)).split(ROWS_AT_ONCE)
        items = torch.cat([network.represent(part) for part in ids])
        self.items = nn.Buffer(items.to(dtype))
        self.likes, self.views = nn.Buffer(network.likes.weight), nn.Buffer(network.views.weight)
        self.user = None if network.user is None else nn.Buffer(network.user.weight)
        self.interest = serving_interest(network.interest, items, dtype)
        self.interaction = serving_interaction(network.interaction)
        self.first = first_product(self, network, items, dtype)
        self.shortest, self.longest = self.interest.shortest, max_len
        self.inputs = ("history", "candidates", "likes", "views")
        if self.user is not None:
            self.inputs += ("user",)
        self.to(dtype)
        for module in self.modules():
            if isinstance(module, FusedLinear):
                module.rounded = rounded

    def forward(
        self,
        history: Tensor,
        candidates: Tensor,
        likes: Tensor,
        views: Tensor,
        user: Tensor | None = None,
    ) -> Tensor:
        target = take(self.items, candidates)
        row = [take(self.likes, likes), take(self.views, views)]
        if self.user is not None:
            row.append(take(self.user, user).expand(target.shape[0], -1))
        z, weight = self.interest(self.items, target, candidates, history)
        x = torch.cat((*row, target, z), dim=1)
        if self.first is None:
            return self.interaction(x)
        y = self.first(candidates, likes, views, row[2:], weight, history)
        return self.interaction(x, y)

    @torch.inference_mode()
    def score(self, request: Request) -> Tensor:
        """Logits (N,) of a request. Raises ValueError for ids outside the tables."""
        request.check(len(self.items), 0 if self.user is None else len(self.user))
        return torch.cat([self(*piece) for piece in request.pieces(self.shortest, self.longest)])


def serving_interaction(part: nn.Module) -> nn.Module:
    """The fused form of `part`. Shapes: x (N, X) -> logits (N,). Raises NoServingForm."""
    form = fused_form(part)
    if form is None:
        raise NoServingForm(
            f"the interaction part {type(part).__name__} has no serving form: give it a method"
            " fused() (see models/layers/fusion.py); without one it can train and predict only"
        )
    return form


def first_product(
    serving: ServingNetwork, network: Network, items: Tensor, dtype: torch.dtype
) -> "FirstProduct | None":
    """The lookup of the first quadratic layer's product, where `serving` begins with one."""
    if not isinstance(serving.interaction, FusedQuadraticNetwork):
        return None
    layer = serving.interaction.layers[0]
    if not isinstance(layer, FusedQuadraticLayer) or isinstance(serving.interest, Transformer):
        return None
    return FirstProduct(layer, network, items, dtype)


class FirstProduct(nn.Module):
    """y = W x + b (N, X) of the first quadratic layer, looked up; see the module docstring."""

    def __init__(
        self, layer: FusedQuadraticLayer, network: Network, items: Tensor, dtype: torch.dtype
    ) -> None:
        super().__init__()
        dim, d_item = network.likes.embedding_dim, items.shape[1]
        n_row = 2 if network.user is None else 3
        *row, target, value = layer.linear.weight.split([dim] * n_row + [d_item] * 2, dim=1)
        if isinstance(network.interest, SparseTargetAttention):
            target = target + value
            value = value @ network.interest.out.weight @ network.interest.value.weight
        self.likes = tabulate(network.likes.weight, row[0], dtype, layer.linear.bias)
        self.views = tabulate(network.views.weight, row[1], dtype)
        self.user = nn.Buffer(row[2].contiguous()) if row[2:] else None
        self.target, self.value = (tabulate(items, columns, dtype) for columns in (target, value))

    def forward(
        self,
        candidates: Tensor,
        likes: Tensor,
        views: Tensor,
        user: list[Tensor],
        weight: Tensor,
        history: Tensor,
    ) -> Tensor:
        y = take(self.target, candidates) + weight @ take(self.value, history)
        y = y + take(self.likes, likes) + take(self.views, views)
        return y + product(user[0], self.user) if user else y
