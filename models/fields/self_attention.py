"""AutoInt: fields attend to each other, in several layers of several heads.

    a^h_mk = softmax over k of <Q^h e_m, K^h e_k>,   e'_m = [sum_k a^h_mk V^h e_k over the heads h]
    e''_m  = ReLU(e'_m + R e_m);   the next layer reads e''
    logit  = w . [e''_1 ; ... ; e''_F] + b

Song et al. 2019, "AutoInt", arXiv:1810.11921, equations 5 to 8. Its AutoInt+ adds an MLP over
the embeddings to the logit: deep = mlp.

Departures, the published implementation's: R is the identity where a layer does not change the
width; scores may be divided by the square root of a head's width, and layer normalisation may stand
before the ReLU (both settings); the weights a and e' have dropout.

With head_split = "row" the heads are FuxiCTR 1's: Q, K and V of a row, F fields of H shares each,
are read as H heads of F shares, in the order of memory. So head h attends among the shares F h to
F (h + 1) - 1, those of all heads of about F / H neighbouring fields, in place of one share of every
field. The benchmark's runs have it, and it gains nothing (bench/RESULTS.md, "AutoInt's heads").
With one head the two are the same.
"""

from torch import Tensor, nn

from models.fields.settings import AutoIntSettings
from models.layers.dropout import Dropout
from models.layers.precision import Linear, exact


class AttentionLayer(nn.Module):
    """One layer. Shapes: fields (B, F, d_in) float32 -> (B, F, cfg.width)."""

    def __init__(self, d_in: int, cfg: AutoIntSettings) -> None:
        super().__init__()
        self.query, self.key, self.value = (Linear(d_in, cfg.width, bias=False) for _ in range(3))
        self.residual = None
        if cfg.residual:
            same = d_in == cfg.width
            self.residual = nn.Identity() if same else Linear(d_in, cfg.width, bias=False)
        self.norm = nn.LayerNorm(cfg.width) if cfg.layer_norm else nn.Identity()
        self.dropout = Dropout(cfg.dropout)
        self.heads = cfg.heads
        self.by_field = cfg.head_split == "field"
        self.scale = (cfg.width // cfg.heads) ** -0.5 if cfg.scale else 1.0

    def forward(self, fields: Tensor) -> Tensor:
        rows, n_fields, _ = fields.shape

        def by_head(x: Tensor) -> Tensor:  # (B, heads, F, width of a head)
            if self.by_field:
                return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
            return x.reshape(rows, self.heads, n_fields, -1)

        query, key, value = (by_head(f(fields)) for f in (self.query, self.key, self.value))
        with exact(fields):
            weight = (query @ key.transpose(2, 3) * self.scale).softmax(3)
            pooled = self.dropout(weight) @ value
        pooled = pooled.transpose(1, 2) if self.by_field else pooled
        pooled = self.dropout(pooled.reshape(rows, n_fields, -1))
        if self.residual is not None:
            pooled = pooled + self.residual(fields)
        return self.norm(pooled).relu()


class SelfAttention(nn.Module):
    """See the module docstring. Shapes: fields (B, F, E) float32 -> logit (B, 1)."""

    def __init__(self, n_fields: int, width: int, cfg: AutoIntSettings) -> None:
        super().__init__()
        widths = (width, *(cfg.width for _ in range(cfg.layers - 1)))
        self.layers = nn.Sequential(*(AttentionLayer(d_in, cfg) for d_in in widths))
        self.out = Linear(n_fields * cfg.width, 1)

    def forward(self, fields: Tensor) -> Tensor:
        return self.out(self.layers(fields).flatten(1))
