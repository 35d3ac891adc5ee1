"""Rows that stay on disk: a pass reads them in windows, and a setting bounds the memory in use.

A split is cut into blocks of consecutive rows. A pass takes the blocks one after the other, those
of an epoch of training in random order. As many blocks as fill a window are joined, shuffled
together (a shuffle buffer) and cut into batches, while a thread reads the next window. The rows
that are left over begin the next window, so that batches have the same sizes as in memory, and
every row comes exactly once. In a pass that does not shuffle, the batches are those of
models.batches.rows.Rows, bit for bit. The order of an epoch depends on the generator, the memory,
`max_len` and the number of codes alone: codes of columns lie in the window with their rows.

Shuffling a window is not shuffling everything: two rows meet in a batch only where their blocks
meet in a window. Blocks are small for that reason: a window holds at least `BLOCKS` of them.

    memory >= a window in use + the next one's blocks + these joined + work space: `SHARES` windows
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.batches.batch import Batch
from models.batches.disk_array import DiskArray
from models.batches.join import join
from models.batches.prefetch import prefetch
from models.batches.rows import COLUMNS, Rows, spans
from models.batches.source import Mask, NoSlates, Shard

SHARES = 4
BLOCKS = 16
MAX_BLOCK = 1 << 14  # rows of a block, however much memory there is
ROW_BYTES = 34  # of a row without codes and history: also label, offset, place in the shuffle
ENTRY_BYTES = 4  # of a history item

Keep = Callable[[int, int], np.ndarray]  # (start, stop) -> bool, whether each of these rows is kept
Piece = tuple[Rows, Tensor | None]  # rows in memory and their labels


@dataclass(frozen=True, slots=True)
class StreamPlan(Sequence[range]):
    """The batches of a pass over N rows: batch i holds the rows that come i-th, `plan[i]`."""

    n_rows: int
    batch_size: int
    seed: int | None  # of the order of blocks and of rows in a window; None: as on disk

    def __len__(self) -> int:
        full, rest = divmod(self.n_rows, self.batch_size)
        joined = rest == 1 and full and self.seed is not None  # batch norm cannot take one row
        return full + (rest > 0 and not joined)

    def __getitem__(self, i: int) -> range:
        if not 0 <= i < len(self):
            raise IndexError(i)
        stop = self.n_rows if i == len(self) - 1 else (i + 1) * self.batch_size
        return range(i * self.batch_size, stop)


@dataclass(frozen=True, slots=True)
class StreamRows:
    """The rows of one split on disk, or those that `keep` keeps; see models.batches.source.

    arrays   what each row has a value of, by the names of models.batches.rows.Rows: those of
             COLUMNS, and `columns` (N, C) uint8 where there are codes
    values   (S,) int32, item ids of all histories; offsets (H + 1,) int64, where each begins
    n_items  as in models.batches.rows.Rows; max_len likewise
    memory   bytes that may be in flight
    n_kept   rows that `keep` keeps
    """

    arrays: dict[str, DiskArray]
    values: DiskArray
    offsets: DiskArray
    n_items: int
    max_len: int
    memory: int
    n_kept: int
    keep: Keep | None = None

    on_host = True
    device = torch.device("cpu")

    @classmethod
    def of_split(
        cls,
        split: Any,
        values: np.memmap,
        offsets: np.memmap,
        n_items: int,
        max_len: int,
        memory: int,
    ) -> "StreamRows":
        """The rows of a store's `split`, whose arrays are mapped; `memory` in bytes."""
        arrays = {name: DiskArray.of(getattr(split, name)) for name in COLUMNS}
        histories = DiskArray.of(values), DiskArray.of(offsets)
        return cls(arrays, *histories, n_items, max_len, memory, len(arrays["item"]))

    def __len__(self) -> int:
        return self.n_kept

    @property
    def window(self) -> int:
        """Bytes of the rows that are shuffled together."""
        return self.memory // SHARES

    @property
    def block(self) -> int:
        """Rows of a block."""
        of_row = row_bytes(self.max_len, self.n_codes)
        return max(1, min(MAX_BLOCK, self.window // (BLOCKS * of_row)))

    @property
    def n_blocks(self) -> int:
        return -(-len(self.arrays["item"]) // self.block)

    @property
    def n_codes(self) -> int:
        """Codes of a row, a byte each."""
        return self.arrays["columns"].dtype.itemsize if "columns" in self.arrays else 0

    def bounds(self, blocks: Iterable[int] | None = None) -> Iterator[tuple[int, int]]:
        """Where each of `blocks` begins and ends; by default all blocks, in their order."""
        size, n_rows = self.block, len(self.arrays["item"])
        for block in range(self.n_blocks) if blocks is None else blocks:
            yield int(block) * size, min((int(block) + 1) * size, n_rows)

    def cut(self, max_len: int) -> "StreamRows":
        """The same rows, with batches that hold the last `max_len` items of each history."""
        return replace(self, max_len=max_len)

    def with_columns(self, codes: np.ndarray | None) -> "StreamRows":
        """See models.batches.source; of all rows of the split, whatever `keep` keeps."""
        arrays = {name: self.arrays[name] for name in COLUMNS}
        return replace(
            self, arrays=arrays if codes is None else arrays | {"columns": DiskArray.of(codes)}
        )

    def codes(self) -> Iterator[Tensor]:
        """See models.batches.source."""
        codes = self.arrays["columns"]
        for block in self.bounds():
            yield torch.from_numpy(codes.read(*block)[self.kept(*block)])

    def in_slates(self) -> "StreamRows":
        """Raises NoSlates: the rows of a slate may be in different windows."""
        raise NoSlates("rows on disk are not put into slates: keep the rows in memory")

    def where(self, keep: Keep) -> "StreamRows":
        """Those rows of the whole split that `keep` keeps."""
        n_kept = sum(int(keep(a, b).sum()) for a, b in self.bounds())
        return replace(self, keep=keep, n_kept=n_kept)

    def plan(
        self,
        batch_size: int,
        shuffle: torch.Generator | None = None,
        shard: Shard | None = None,
    ) -> StreamPlan:
        """The batches of a pass, in random order where `shuffle` is given; `read` makes them.

        Raises ValueError where the memory might not hold a batch, and for a `shard`: one process
        reads all rows.
        """
        if shard is not None:
            raise ValueError("rows on disk are read by one process: train without torchrun")
        if self.memory < min_memory(batch_size, self.max_len, self.n_codes):
            raise ValueError(f"{self.memory} bytes are too few for batches of {batch_size} rows")
        seed = None if shuffle is None else int(torch.randint(2**63 - 1, (), generator=shuffle))
        return StreamPlan(len(self), batch_size, seed)

    def read(
        self, plan: StreamPlan, label: DiskArray | None
    ) -> Iterator[tuple[Batch, Tensor | None]]:
        """Each batch of `plan`, and its labels (B,) float32."""
        for rows, labels, index in self.slices(plan, label):
            yield rows.batch(index), None if labels is None else labels[index]

    def slices(self, plan: StreamPlan, label: DiskArray | None) -> Iterator[tuple[*Piece, Tensor]]:
        """For each batch: rows in memory, their labels (float32), and the batch's positions (B,)
        int64 among them."""
        for rows, labels, batches in prefetch(self.windows(plan, label)):
            for index in batches:
                yield rows, labels, index

    def windows(
        self, plan: StreamPlan, label: DiskArray | None
    ) -> Iterator[tuple[*Piece, list[Tensor]]]:
        """Rows in memory, their labels, and the batches that are cut from them."""
        shuffle = blocks = None
        if plan.seed is not None:
            shuffle = torch.Generator().manual_seed(plan.seed)
            blocks = torch.randperm(self.n_blocks, generator=shuffle).numpy()
        sizes = map(len, plan)
        size, pieces, n_bytes = next(sizes, 0), [], 0
        for n_read, (start, stop) in enumerate(self.bounds(blocks), start=1):
            pieces.append(self.piece(start, stop, label))
            n_bytes += _bytes(pieces[-1])
            if n_bytes < self.window and n_read < self.n_blocks:
                continue
            rows, labels = _joined(pieces)
            index = torch.arange(len(rows))
            if shuffle is not None:
                index = torch.randperm(len(rows), generator=shuffle)
            batches, start = [], 0
            while size and start + size <= len(rows):
                batches.append(index[start : start + size])
                start, size = start + size, next(sizes, 0)
            rest = index[start:]
            pieces = [(rows.take(rest).compact(), None if labels is None else labels[rest])]
            n_bytes = _bytes(pieces[0])
            yield rows, labels, batches

    def piece(self, start: int, stop: int, label: DiskArray | None) -> Piece:
        """The kept ones of rows `start` to `stop`, with their own histories alone."""
        kept = self.kept(start, stop)
        arrays = {n: torch.from_numpy(a.read(start, stop)[kept]) for n, a in self.arrays.items()}
        number, history = np.unique(arrays["history"].numpy(), return_inverse=True)
        end = self.offsets.gather(number.astype(np.int64) + 1)
        begin = np.maximum(self.offsets.gather(number.astype(np.int64)), end - self.max_len)
        offsets = np.zeros(len(number) + 1, np.int64)
        np.cumsum(end - begin, out=offsets[1:])
        position = np.arange(offsets[-1]) + np.repeat(end - offsets[1:], end - begin)
        arrays["history"] = torch.from_numpy(history.astype(np.int32))
        rows = Rows(
            **arrays, values=torch.from_numpy(self.values.gather(position)),
            **spans(torch.from_numpy(offsets)), n_items=self.n_items, max_len=self.max_len,
            on_host=True,
        )  # fmt: skip
        if label is None:
            return rows, None
        return rows, torch.from_numpy(label.read(start, stop)[kept].astype(np.float32))

    def select(
        self, column: DiskArray, mask: Mask, label: DiskArray
    ) -> tuple["StreamRows", DiskArray]:
        """See models.batches.source; `column` and `label` are, and stay, those of the split."""

        def keep(start: int, stop: int) -> np.ndarray:
            kept = mask(column.read(start, stop))
            return kept if self.keep is None else kept & self.keep(start, stop)

        return self.where(keep), label

    def selected(self, column: DiskArray, mask: Mask) -> np.ndarray:
        return self.where(lambda start, stop: mask(column.read(start, stop))).positions()

    def labels(self, label: DiskArray) -> Tensor:
        return torch.from_numpy(self.pick(label).astype(np.float32))

    def load(self) -> Rows:
        """The same rows, in memory."""
        return _joined([self.piece(a, b, None) for a, b in self.bounds()])[0]

    def pick(self, column: DiskArray) -> np.ndarray:
        """The kept rows' elements of a column (N,) of the split."""
        return self._of_kept(column.read)

    def positions(self) -> np.ndarray:
        """Positions of the kept rows in the split: int64, ascending."""
        return self._of_kept(np.arange)

    def kept(self, start: int, stop: int) -> np.ndarray | slice:
        """Which of rows `start` to `stop` are kept, as an index."""
        return slice(None) if self.keep is None else self.keep(start, stop)

    def _of_kept(self, values: Callable[[int, int], np.ndarray]) -> np.ndarray:
        return np.concatenate([values(*block)[self.kept(*block)] for block in self.bounds()])


def row_bytes(max_len: int, n_codes: int = 0) -> int:
    """The most bytes of a row: its history is full, and shared with no other row."""
    return ROW_BYTES + n_codes + ENTRY_BYTES * max_len


def min_memory(batch_size: int, max_len: int, n_codes: int = 0) -> int:
    """Bytes that suffice for a window to hold any batch of `batch_size` rows."""
    return SHARES * batch_size * row_bytes(max_len, n_codes)


def _bytes(piece: Piece) -> int:
    rows, labels = piece
    return rows.n_bytes + (0 if labels is None else labels.nbytes) + 8 * len(rows)


def _joined(pieces: list[Piece]) -> Piece:
    rows, labels = zip(*pieces, strict=True)
    return join(rows), None if labels[0] is None else torch.cat(labels)
