"""The vectors of fields: one for each value of a categorical field, one for each numeric field.

    v_f = T[first_f + x_f]      a categorical field f: its value's row x_f of the field's vocabulary
    v_f = x_f t_f               a numeric field f: its vector, times its value

The first order of a network is the same with vectors of one number, its weights w_f.

As published (the benchmark's FuxiCTR), a numeric field is a linear map of its value without bias,
and begins Xavier-normal; embeddings begin with a standard deviation of 1e-4. A field's vocabulary
has a row for padding (0), one for each value of its own (1, 2, ...) and, last, one for all other
values, which train holds only where values of few rows have no row of their own. Version 1, which
gave all published figures but FINAL's, had no row for padding: with `padding` False the table
leaves it out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.fields.rows import FieldRows


class FieldTable(nn.Embedding):
    """See the module docstring.

    Shapes:
        sizes    C numbers: rows of each categorical field's vocabulary, values seen + 2
        forward  FieldRows of B rows -> (B, M + C, width) float32, the M numeric fields first
    """

    def __init__(
        self, sizes: Sequence[int], n_numeric: int, width: int, padding: bool = True
    ) -> None:
        rows = [size if padding else size - 1 for size in sizes]
        super().__init__(sum(rows), width, padding_idx=0 if padding else None)
        first = torch.tensor([0, *rows[:-1]]).cumsum(0)  # (C,): where each field's rows begin
        self.register_buffer("first", first if padding else first - 1, persistent=False)
        self.numeric = nn.Parameter(torch.empty(n_numeric, width)) if n_numeric else None

    def forward(self, rows: FieldRows) -> Tensor:
        vectors = super().forward(rows.columns + self.first)
        if self.numeric is None:
            return vectors
        return torch.cat((rows.numbers.unsqueeze(2) * self.numeric, vectors), dim=1)

    def weights(self) -> list[nn.Parameter]:
        """All that training fits here."""
        return [self.weight] if self.numeric is None else [self.weight, self.numeric]

    @torch.no_grad()
    def initialise_fields(self) -> None:
        """What models.network.initialise leaves: every field's padding, and the numeric fields."""
        if self.padding_idx is not None:
            self.weight[self.first] = 0
        if self.numeric is not None:
            nn.init.normal_(self.numeric, std=(2 / (1 + self.numeric.shape[1])) ** 0.5)
