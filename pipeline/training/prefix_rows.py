"""Rows of 25_prefixes beside the train rows of a fit: they train it, and do nothing else."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from features.prefixes import Prefixes
from models.batches.join import join
from models.batches.rows import Rows
from models.fit_settings import FitSettings


@dataclass(frozen=True, slots=True)
class PrefixRows:
    """The prefixes of a run, on the device of its train rows, whose histories they share.

    label  (N,) float32
    row    (N,) int64, a train row of the same user
    fold   (N,) int8, of that train row; part likewise, None where no users are set apart
    rank   (N,) int64, 0 for the newest click of a user
    """

    rows: Rows
    label: Tensor
    row: Tensor
    fold: Tensor
    part: Tensor | None
    rank: Tensor

    @classmethod
    def of(cls, opened: Prefixes, rows: Rows, fold: Tensor, part: Tensor | None) -> "PrefixRows":
        """`rows` are those of `opened`; fold and part are of the train rows (M,)."""
        label, row, rank = (
            torch.from_numpy(np.array(values, dtype)).to(rows.device)
            for values, dtype in (
                (opened.split.label, np.float32),
                (opened.row, np.int64),
                (opened.rank, np.int64),
            )
        )
        return cls(rows, label, row, fold[row], None if part is None else part[row], rank)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: Tensor) -> "PrefixRows":
        """Those at `index` (n,) int64."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "rows"}
        taken = {name: None if c is None else c[index] for name, c in columns.items()}
        return replace(self, rows=self.rows.take(index), **taken)

    def of_users(self, drawn: np.ndarray) -> "PrefixRows":
        """Those of users whose train rows are `drawn` (M,) bool."""
        kept = torch.from_numpy(drawn).to(self.row.device)[self.row]
        return self.take(kept.nonzero().squeeze(1))

    def of_fit(self, fold: int | None, part: int | None, last: int) -> "PrefixRows":
        """The `last` ones of each user who is neither in `fold` nor in `part`."""
        kept = self.rank < last
        if fold is not None:
            kept &= self.fold != fold
        if part is not None and self.part is not None:
            kept &= self.part != part
        return self.take(kept.nonzero().squeeze(1))

    def beside(self, train: Rows, label: Tensor, cfg: FitSettings) -> tuple[Rows, Tensor]:
        """`train` with `label` (M,), then these rows: each with its weight, where the loss has
        weights."""
        columns = None if train.columns is None else self.rows.columns
        more = replace(self.rows, max_len=train.max_len, columns=columns)
        if cfg.weighs_rows:
            decayed = torch.pow(cfg.prefix_decay, self.rank.double() + 1).float()
            train, more = (
                replace(train, weight=torch.ones_like(label)),
                replace(more, weight=decayed),
            )
        return join([train, more]), torch.cat([label, self.label])
