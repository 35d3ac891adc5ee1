"""What 55_mask measures: what a trained network reads of a history, and what that is worth."""

import numpy as np
import torch
from torch import Tensor

from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from models.batches.rows import Rows
from models.network import Network
from models.training.fit import predict
from pipeline.probes import perturbations
from pipeline.training.context import TrainingContext

ROWS = 10_000  # of official valid, at most; all rows of a user or none
DRAWS = 200  # of the bootstrap
MAX_UNCHANGED_LOGIT = 1e-5  # a smaller change of a logit is rounding
MIN_SHARE_MOVED = (
    0.5  # share of logits that other items must move: sparse attention may ignore some
)


def valid_rows(context: TrainingContext) -> tuple[Rows, np.ndarray]:
    """About ROWS rows of official valid, all rows of some users, and their labels (N,)."""
    rows, label = context.load("valid")
    users, user, count = torch.unique(rows.user, return_inverse=True, return_counts=True)
    order = torch.randperm(len(users), generator=torch.Generator().manual_seed(0)).to(rows.device)
    before = torch.empty_like(count)
    before[order] = count[order].cumsum(0) - count[order]
    index = (before[user] < ROWS).nonzero().squeeze(1)
    return rows.take(index), label[index].cpu().numpy()


def examine(network: Network, rows: Rows, label: np.ndarray) -> dict:
    """The entry of one network in mask.json; `rows` (N,) are cut to its max_len, label (N,)."""
    logit = predict(network, rows)
    has_history = rows.offsets.diff()[rows.history.long()] > 0

    def change(other: Network, other_rows: Rows) -> Tensor:
        return (predict(other, other_rows) - logit).abs()[has_history.to(logit.device)]

    everywhere = torch.ones_like(rows.values, dtype=torch.bool)
    padding = change(perturbations.with_other_padding(network), rows)
    older = change(network, perturbations.with_other_items(rows, perturbations.older(rows)))
    items = change(network, perturbations.with_other_items(rows, everywhere))
    other_user = predict(network, perturbations.with_histories_of_other_users(rows))
    largest, moved = _largest(padding, older), (items > MAX_UNCHANGED_LOGIT).double().mean().item()
    return {
        "padding": {"largest_change": largest, "passed": largest <= MAX_UNCHANGED_LOGIT},
        "history": {"moved": round(moved, 6), "passed": moved > MIN_SHARE_MOVED},
        "shuffled": worth(label, logit, other_user, rows.user),
    }


def worth(label: np.ndarray, logit: Tensor, other_user: Tensor, user: Tensor) -> dict:
    """AUC with the users' own histories and with those of other users, and the paired difference.

    label (N,) uint8, logit and other_user (N,) float32, user (N,) int32.
    """
    own, other = (logits.cpu().double().numpy() for logits in (logit, other_user))
    users = user.cpu().numpy()
    gain = paired_bootstrap(label, own, other, users, n=DRAWS)
    figures = {"auc": auc(label, own), "auc_shuffled": auc(label, other)}
    figures |= {"gain": gain[0], "low": gain[1], "high": gain[2]}
    return {k: round(v, 6) for k, v in figures.items()} | {"helps": gain[1] > 0}


def _largest(*changes: Tensor) -> float:
    return max((float(change.max()) for change in changes if len(change)), default=0.0)
