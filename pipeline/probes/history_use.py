"""What 55_mask finds of one trained network: what it reads of a history, and what that is worth."""

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

ROWS = 10_000  # of official valid, at most; whole users
DRAWS = 200  # of the bootstrap
STILL = 1e-5  # of a logit: rounding
MOVED = 0.5  # share of logits that other items must move; a sparse attention may ignore some


def valid_rows(bench: TrainingContext) -> tuple[Rows, np.ndarray]:
    """Rows and labels of whole users of official valid, about ROWS."""
    rows, label = bench.loaded("valid")
    users, user, count = torch.unique(rows.user, return_inverse=True, return_counts=True)
    order = torch.randperm(len(users), generator=torch.Generator().manual_seed(0)).to(rows.device)
    before = torch.empty_like(count)
    before[order] = count[order].cumsum(0) - count[order]
    index = (before[user] < ROWS).nonzero().squeeze(1)
    return rows.take(index), label[index].cpu().numpy()


def examine(network: Network, rows: Rows, label: np.ndarray) -> dict:
    """What 55_mask writes of one network; `rows` (N,) are cut to its max_len, label (N,)."""
    logit = predict(network, rows)
    has_history = rows.offsets.diff()[rows.history.long()] > 0

    def change(other: Network, others: Rows) -> Tensor:
        return (predict(other, others) - logit).abs()[has_history.to(logit.device)]

    everywhere = torch.ones_like(rows.values, dtype=torch.bool)
    padding = change(perturbations.with_other_padding(network), rows)
    older = change(network, perturbations.with_other_items(rows, perturbations.older(rows)))
    items = change(network, perturbations.with_other_items(rows, everywhere))
    strange = predict(network, perturbations.with_histories_of_other_users(rows))
    largest, moved = _largest(padding, older), (items > STILL).double().mean().item()
    return {
        "padding": {"largest_change": largest, "passed": largest <= STILL},
        "history": {"moved": round(moved, 6), "passed": moved > MOVED},
        "shuffled": worth(label, logit, strange, rows.user),
    }


def worth(label: np.ndarray, logit: Tensor, strange: Tensor, user: Tensor) -> dict:
    """AUC with the users' own histories and with those of others, and the paired difference."""
    ours, theirs = (scores.cpu().double().numpy() for scores in (logit, strange))
    users = user.cpu().numpy()
    gain = paired_bootstrap(label, ours, theirs, users, n=DRAWS)
    own, other = auc(label, ours), auc(label, theirs)
    found = {"auc": own, "auc_shuffled": other, "gain": gain[0], "low": gain[1], "high": gain[2]}
    return {k: round(v, 6) for k, v in found.items()} | {"helps": gain[1] > 0}


def _largest(*changes: Tensor) -> float:
    return max((float(change.max()) for change in changes if len(change)), default=0.0)
