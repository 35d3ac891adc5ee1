"""Factorisation machine: every pair of fields meets in the inner product of its embeddings.

    y = b + sum_i w_i + sum_(i<j) <v_i, v_j>,   pairs: 1/2 sum_d [(sum_i v_id)^2 - sum_i v_id^2]

Rendle 2010, "Factorization Machines", equations 1 and 5; the explicit half of DeepFM (Guo et al.
2017, section 2.1). The first order b + sum_i w_i is models.fields.network's.
"""

from torch import Tensor, nn


class PairwiseInteraction(nn.Module):
    """The pairs' part of the logit, without weights. Shapes: fields (B, F, E) float32 -> (B, 1)."""

    def forward(self, fields: Tensor) -> Tensor:
        squared_sum, sum_of_squares = fields.sum(1) ** 2, (fields**2).sum(1)
        return (squared_sum - sum_of_squares).sum(1, keepdim=True) / 2
