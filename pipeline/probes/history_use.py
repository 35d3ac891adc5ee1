"""What 55_mask measures: what a trained network reads of a history, and what that is worth."""

import numpy as np
import torch
from torch import Tensor

from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from models.batches.rows import Rows
from models.network import Network
from models.settings import NetworkSettings
from models.training.fit import predict
from pipeline.probes import perturbations
from pipeline.training.context import TrainingContext

ROWS = 10_000  # of official valid, at most; all rows of a user or none
DRAWS = 200  # of the bootstrap
MAX_UNCHANGED_LOGIT = 1e-5  # a smaller change of a logit is rounding
MIN_SHARE_MOVED = (
    0.5  # share of logits that other items must move: sparse attention may ignore some
)


def valid_rows(
    context: TrainingContext, fold: int, cfg: NetworkSettings
) -> tuple[Rows, np.ndarray]:
    """About ROWS rows of official valid as a fit of `fold` reads them, and their labels (N,).

    All rows of some users, the same ones for every fit.
    """
    rows, label = context.load("valid")
    users, user, count = torch.unique(rows.user, return_inverse=True, return_counts=True)
    order = torch.randperm(len(users), generator=torch.Generator().manual_seed(0)).to(rows.device)
    before = torch.empty_like(count)
    before[order] = count[order].cumsum(0) - count[order]
    index = (before[user] < ROWS).nonzero().squeeze(1)
    rows, label, index = rows.take(index).cut(cfg.max_len), label[index], index.cpu().numpy()
    if cfg.columns:
        rows = rows.with_columns(context.codes("valid", fold)[index])
    return rows, label.cpu().numpy()


def examine(network: Network, rows: Rows, label: np.ndarray) -> dict:
    """The entry of one network in mask.json; `rows` (N,) are those of `valid_rows`, label (N,).

    A network with columns has the entry `columns`: what they are worth, against those of other
    rows. Columns that describe histories stay as they are where histories change.

    passed and helps are None where these rows cannot tell: no row has a history, there is no other
    item, or no other user has another history.
    """
    logit = predict(network, rows)
    has_history = (rows.end - rows.begin)[rows.history.long()] > 0

    def change(other: Network, other_rows: Rows) -> Tensor:
        return (predict(other, other_rows) - logit).abs()[has_history.to(logit.device)]

    everywhere = torch.ones_like(rows.values, dtype=torch.bool)
    exchanged = perturbations.with_histories_of_other_users(rows)
    padding = change(perturbations.with_other_padding(network), rows)
    older = change(network, perturbations.with_other_items(rows, perturbations.older(rows)))
    items = change(network, perturbations.with_other_items(rows, everywhere))
    other_user = predict(network, exchanged)
    largest, moved = _largest(padding, older), int((items > MAX_UNCHANGED_LOGIT).sum())
    share, any_history = moved / max(len(items), 1), bool(has_history.any())
    shuffled = worth(label, logit, other_user, rows.user)
    if torch.equal(exchanged.history, rows.history):
        shuffled["helps"] = None
    columns = {}
    if rows.columns is not None:
        shuffled_columns = perturbations.with_columns_of_other_rows(rows)
        columns["columns"] = worth(label, logit, predict(network, shuffled_columns), rows.user)
    return columns | {
        "padding": {
            "largest_change": largest,
            "passed": largest <= MAX_UNCHANGED_LOGIT if any_history else None,
        },
        "history": {
            "moved": round(share, 6),
            "passed": share > MIN_SHARE_MOVED if any_history and rows.n_items > 2 else None,
        },
        "shuffled": shuffled,
    }


def worth(label: np.ndarray, logit: Tensor, others: Tensor, user: Tensor) -> dict:
    """AUC with the rows' own inputs and with those of other rows, and the paired difference.

    label (N,) uint8, logit and others (N,) float32, user (N,) int32.
    """
    own, other = (logits.cpu().double().numpy() for logits in (logit, others))
    users = user.cpu().numpy()
    gain = paired_bootstrap(label, own, other, users, n=DRAWS)
    figures = {"auc": auc(label, own), "auc_shuffled": auc(label, other)}
    figures |= {"gain": gain[0], "low": gain[1], "high": gain[2]}
    return {k: round(v, 6) for k, v in figures.items()} | {"helps": gain[1] > 0}


def _largest(*changes: Tensor) -> float:
    return max((float(change.max()) for change in changes if len(change)), default=0.0)
