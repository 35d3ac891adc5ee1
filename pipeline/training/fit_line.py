"""The live line of one fit: what is trained, how far it is, and how well it did so far.

    qin seed 0 fold 1  epoch 2 of <=20  45%  loss 0.4312  auc 0.78120  12.3k rows/s

Loss and AUC are those of the last epoch that has ended: reading the present one would wait for a
GPU.
"""

import time
from collections.abc import Iterator, Sequence

from models.fit_settings import FitSettings
from pipeline.runtime.live import events
from pipeline.runtime.live.work import rate
from pipeline.runtime.progress import Throttle

STARTING = "starting"  # the line before those of fits, while their processes start


def starting(n: int) -> None:
    """Show that `n` processes start, which takes seconds, until the first fit has its line."""
    events.task(STARTING, [f"  {n} processes start"])


class FitLine:
    """The line of a fit, or of a trial, whose fits are its folds: `part` is (fold, of how many)."""

    def __init__(self, name: str, cfg: FitSettings, part: tuple[int, int] = (0, 1)) -> None:
        self.name, self.cfg, self.part = name, cfg, part
        self.is_due, self.record, self.epoch, self.speed = Throttle(), {}, 0, ""
        events.end(STARTING)
        self.show("loading")

    def batches(self, plan: Sequence, title: str) -> Iterator:
        """The batches of one epoch, `title` of models.training.fit; the line follows them."""
        self.epoch = int(title.removeprefix("epoch "))
        started, n = time.perf_counter(), len(plan)
        for done, batch in enumerate(plan, start=1):
            yield batch
            if self.is_due():
                self._measure(done, started)
                self.show(f"{done / n:.0%}", done / n)
        self._measure(n, started)
        self.show("scoring", 1)

    def end_epoch(self, epoch: int, record: dict) -> None:
        """Keep loss and AUC of an epoch that has ended, for when the line is shown next."""
        self.epoch, self.record = epoch, record

    def end(self) -> None:
        """Remove the line."""
        events.end(self.name)

    def _measure(self, batches: int, started: float) -> None:
        seconds = max(time.perf_counter() - started, 1e-9)
        self.speed = rate(batches * self.cfg.batch_size / seconds)

    def show(self, at: str, share: float = 0.0) -> None:
        """Show it: `share` of the present epoch's batches are done."""
        number, of = self.part
        fields = [f"  {self.name}" if of == 1 else f"  {self.name} fold {number + 1} of {of}"]
        if self.epoch:
            fields.append(f"epoch {self.epoch} of <={self.cfg.max_epochs}")
        fields.append(f"{at:>3}")
        if self.record:
            loss, auc = self.record["loss"], self.record["score"]
            fields += [f"loss {loss:.4f}", f"auc {auc:.4f}"]
        epochs = max(self.epoch - 1, 0) + share
        done = (number + epochs / self.cfg.max_epochs) / of
        events.task(self.name, [*fields, *filter(None, [self.speed])], done, at_most=True)
