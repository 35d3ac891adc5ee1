"""Rows that stay on disk."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.batches import disk_array, stream
from models.batches.disk_array import DiskArray
from models.batches.feed import batches_on_device
from models.batches.plan import split
from models.batches.rows import COLUMNS, Rows, spans
from models.layers.columns import Columns
from models.training.fit import PREDICT_ROWS, fit, predict
from tests.helpers.networks import small

CPU = torch.device("cpu")
N_ROWS, N_HISTORIES, BATCH, N_CODES = 1000, 300, 32, 62
LEAST = stream.min_memory(BATCH, small.settings().max_len)  # a window: 32 full rows, 16 blocks


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> SimpleNamespace:
    """Rows whose user is their number, on scattered histories: in memory, and the same on disk."""
    g = torch.Generator().manual_seed(0)
    lengths = torch.randint(0, 9, (N_HISTORIES,), generator=g)
    draw = lambda low, high, n=N_ROWS: torch.randint(low, high, (n,), generator=g)  # noqa: E731
    rows = Rows(
        user=torch.arange(N_ROWS, dtype=torch.int32), item=draw(1, small.N_ITEMS).int(),
        likes=draw(0, 11).to(torch.uint8), views=draw(0, 11).to(torch.uint8),
        history=draw(0, N_HISTORIES).int(),
        values=draw(1, small.N_ITEMS, int(lengths.sum())).int(),
        **spans(torch.tensor([0, *lengths.cumsum(0).tolist()])),
        n_items=small.N_ITEMS, max_len=4,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("store")
    label, fold = draw(0, 2).to(torch.uint8), draw(0, 5).to(torch.int8)
    arrays = {name: getattr(rows, name) for name in (*COLUMNS, "values")}
    arrays["offsets"] = torch.cat((rows.begin[:1], rows.end))
    mapped = SimpleNamespace()
    for name, values in (arrays | {"label": label, "fold": fold}).items():
        np.save(folder / f"{name}.npy", values.numpy())
        setattr(mapped, name, np.load(folder / f"{name}.npy", mmap_mode="r"))
    on_disk = stream.StreamRows.of_split(
        mapped, mapped.values, mapped.offsets, small.N_ITEMS, 4, LEAST
    )
    return SimpleNamespace(
        rows=rows, label=label.float(), fold=fold, disk=on_disk, least=LEAST,
        disk_label=DiskArray.of(mapped.label), disk_fold=DiskArray.of(mapped.fold),
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_columns(world, tmp_path_factory) -> SimpleNamespace:
    """The same world with columns; of the last ones, the very last row alone has a null."""
    path = tmp_path_factory.mktemp("codes") / "train.npy"
    codes = np.random.default_rng(0).integers(1, 256, (N_ROWS, N_CODES), np.uint8)
    codes[N_ROWS // 2, :40] = codes[-1, 60:] = 0
    np.save(path, codes)
    mapped = np.load(path, mmap_mode="r")
    least = stream.min_memory(BATCH, small.settings().max_len, N_CODES)
    disk = replace(world.disk, memory=least).with_columns(mapped)
    changed = {"rows": world.rows.with_columns(mapped), "disk": disk, "least": least}
    return SimpleNamespace(**vars(world) | changed)


@pytest.fixture(params=["without columns", "with columns"])
def either(request, world, with_columns) -> SimpleNamespace:
    return with_columns if request.param == "with columns" else world


def of_epoch(world, rows, seed=0, shuffled=True):
    """The batches of a pass with their labels; and the row numbers of each batch."""
    shuffle = torch.Generator().manual_seed(seed) if shuffled else None
    fed = list(batches_on_device(rows, world.disk_label, rows.plan(BATCH, shuffle), CPU))
    return fed, [batch.user for batch, _ in fed]


def same_columns(batch, other) -> bool:
    if batch.columns is None:
        return other.columns is None
    return torch.equal(batch.columns, other.columns)


def outside(world, fold):
    return world.disk.where(lambda a, b: world.disk_fold.read(a, b) != fold)


def test_an_epoch_has_every_row_once_in_batches_of_the_sizes_of_rows_in_memory(world):
    for fold in (-1, 0, 3):
        rows = outside(world, fold)
        _, order = of_epoch(world, rows)
        want = (world.fold != fold).nonzero().squeeze(1)
        assert torch.equal(torch.cat(order).sort().values, want)
        sizes = [len(batch) for batch in split(want, BATCH)]
        assert [len(batch) for batch in order] == sizes
        assert [len(batch) for batch in rows.plan(BATCH, torch.Generator())] == sizes


def test_training_differs_from_rows_in_memory_by_the_order_alone(either):
    fed, order = of_epoch(either, outside(either, 1))
    for (batch, label), index in zip(fed, order, strict=True):
        same = either.rows.batch(index)
        assert torch.equal(label, either.label[index])
        for name in ("items", "target", "user", "likes", "views"):
            assert torch.equal(getattr(batch, name), getattr(same, name))
        assert same_columns(batch, same)
        for name in ("position", "row", "offsets"):
            assert torch.equal(getattr(batch.history, name), getattr(same.history, name))


def test_the_order_follows_from_the_generators_state_and_is_another_every_epoch(world):
    shuffle = torch.Generator().manual_seed(5)
    first = world.disk.plan(BATCH, shuffle)
    between = shuffle.get_state()
    second = world.disk.plan(BATCH, shuffle)
    shuffle.set_state(between)
    assert world.disk.plan(BATCH, shuffle) == second != first
    orders = [
        [batch.user.tolist() for batch, _ in batches_on_device(world.disk, None, order, CPU)]
        for order in (first, first, second)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_rows_are_shuffled_within_windows_of_blocks_from_anywhere(world):
    order = world.disk.plan(BATCH, torch.Generator().manual_seed(0))
    ranges, sizes, block = [], [], world.disk.block
    for rows, _, _ in world.disk.windows(order, None):
        in_window = rows.user.unique()
        sizes.append(len(in_window))
        ranges.append(int(in_window.max() - in_window.min()))
    assert max(sizes) < N_ROWS / 3  # several windows
    assert np.mean(ranges) > N_ROWS / 2
    assert len((torch.cat(of_epoch(world, world.disk)[1])[:BATCH] // block).unique()) >= 8


def test_a_window_is_no_larger_than_the_memory_allows_and_no_smaller_than_it_must(either):
    order = either.disk.plan(BATCH, torch.Generator().manual_seed(0))
    windows = list(either.disk.windows(order, either.disk_label))
    taken = [rows.n_bytes + labels.nbytes + 8 * len(rows) for rows, labels, _ in windows]
    assert len(windows) > 5
    assert max(taken) <= either.disk.window * (1 + 1 / stream.BLOCKS)
    assert min(taken[:-1]) >= either.disk.window * 0.9  # joined, an offset a block less
    larger = replace(either.disk, memory=8 * either.least)
    assert len(list(larger.windows(larger.plan(BATCH), None))) < len(windows) / 4


def test_one_window_is_read_ahead_and_no_more(world, monkeypatch):
    read = []
    piece = stream.StreamRows.piece
    monkeypatch.setattr(
        stream.StreamRows, "piece", lambda rows, *of: read.append(of[0]) or piece(rows, *of)
    )
    order = world.disk.plan(BATCH)
    n_blocks = [len(read) for _ in world.disk.windows(order, None)]  # by the end of each window
    read.clear()
    at, before = -1, None
    for rows, _, _ in world.disk.slices(order, None):
        at, before = at + (rows is not before), rows
        assert n_blocks[at] <= len(read) <= n_blocks[min(at + 1, len(n_blocks) - 1)]
    assert at == len(n_blocks) - 1 > 5


@pytest.mark.parametrize("interest", ["asta", "din", "mean"])
def test_predictions_are_those_of_rows_in_memory_bit_for_bit(either, interest, monkeypatch):
    monkeypatch.setitem(PREDICT_ROWS, "cpu", BATCH)
    columns = None if either.rows.columns is None else Columns.of_train(either.disk.codes())
    s = small.settings(interest=interest, interaction="mlp", columns=columns is not None)
    net = small.network(s, columns=columns).float()
    held = (either.fold == 2).nonzero().squeeze(1)
    on_disk = either.disk.where(lambda a, b: either.disk_fold.read(a, b) == 2)
    for max_len in (1, 4):
        want = predict(net, either.rows.cut(max_len).take(held))
        assert torch.equal(predict(net, on_disk.cut(max_len)), want)
    assert torch.equal(torch.from_numpy(on_disk.positions()), held)
    assert torch.equal(torch.from_numpy(on_disk.pick(either.disk_label)), either.label[held].byte())


def test_rows_in_memory_and_on_disk_answer_alike(either):
    """models.batches.source.RowSource: the same rows, labels and positions from both."""
    taken = []
    for rows, fold, label in (
        (either.rows, either.fold, either.label),
        (either.disk, either.disk_fold, either.disk_label),
    ):
        kept, kept_label = rows.cut(3).select(fold, lambda fold: fold != 2, label)
        positions = rows.selected(fold, lambda fold: fold != 2)
        assert len(kept) == len(positions) == int((either.fold != 2).sum())
        taken.append((kept, kept_label, positions))
    (memory, memory_label, positions), (disk, disk_label, same_positions) = taken
    assert np.array_equal(positions, same_positions)
    assert torch.equal(memory.labels(memory_label), disk.labels(disk_label))
    assert torch.equal(memory.load().item, disk.load().item)
    batches = (rows.read(rows.plan(BATCH), label) for rows, label, _ in taken)
    for (a, a_label), (b, b_label) in zip(*batches, strict=True):
        assert torch.equal(a.user, b.user)
        assert same_columns(a, b)
        assert torch.equal(a.items[a.history.position], b.items[b.history.position])
        assert torch.equal(a_label, b_label)


def test_the_columns_with_nulls_are_those_of_rows_in_memory(with_columns):
    assert len(list(with_columns.disk.codes())) > 50
    of_disk, of_memory = (
        Columns.of_train(rows.codes()) for rows in (with_columns.disk, with_columns.rows)
    )
    assert of_disk.nulls.tolist() == of_memory.nulls.tolist() == [*range(40), 60, 61]
    but_the_last = with_columns.disk.where(lambda a, b: np.arange(a, b) < N_ROWS - 1)
    assert Columns.of_train(but_the_last.codes()).nulls.tolist() == [*range(40)]


def test_no_more_codes_are_read_than_those_of_a_block(with_columns, monkeypatch):
    """In an epoch, in predictions, and where a network is made: never all of them."""
    read, sizes = DiskArray.read, []
    monkeypatch.setattr(
        DiskArray, "read", lambda a, *of: sizes.append((a.dtype.itemsize, of)) or read(a, *of)
    )
    disk = with_columns.disk
    Columns.of_train(disk.codes())
    for plan in (disk.plan(BATCH, torch.Generator()), disk.plan(BATCH)):
        list(disk.read(plan, None))
    blocks = [stop - start for size, (start, stop) in sizes if size == N_CODES]
    assert sum(blocks) == 3 * N_ROWS
    assert max(blocks) <= disk.window / stream.BLOCKS / N_CODES
    sizes.clear()
    without = disk.with_columns(None)
    list(without.read(without.plan(BATCH), None))
    assert N_CODES not in dict(sizes)


def test_one_process_reads_all_rows_from_disk(world):
    with pytest.raises(ValueError, match="train without torchrun"):
        world.disk.plan(BATCH, shard=lambda index: index[:1])


def test_a_fit_reads_from_disk_and_repeats_itself(world):
    s = small.settings()
    s = replace(s, fit=replace(s.fit, batch_size=BATCH, max_epochs=1))
    held = torch.arange(200)
    logits = []
    for seed in (1, 1, 2):
        net = small.network(s)
        report = fit(
            net, outside(world, 0), world.disk_label, world.rows.take(held), world.label[held],
            s.fit, seed=seed, score=lambda label, logits: -float((logits - label).abs().mean()),
        )  # fmt: skip
        logits.append(report.held_logits)
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_a_single_row_at_the_end_joins_the_batch_before_in_training_alone(world):
    one_more = world.disk.where(lambda a, b: np.arange(a, b) <= 3 * BATCH)
    _, order = of_epoch(world, one_more)
    assert [len(batch) for batch in order] == [BATCH, BATCH, BATCH + 1]
    _, order = of_epoch(world, one_more, shuffled=False)
    assert [len(batch) for batch in order] == [BATCH, BATCH, BATCH, 1]


def test_a_fault_while_reading_is_raised_where_the_batch_is_needed(either, tmp_path):
    cut_short = tmp_path / "item.npy"
    whole = either.disk.arrays["item"]
    cut_short.write_bytes(Path(whole.path).read_bytes()[:-80])
    broken = replace(whole, path=str(cut_short))
    rows = replace(either.disk, arrays=either.disk.arrays | {"item": broken})
    fed = batches_on_device(rows, None, rows.plan(BATCH), CPU)
    next(fed)
    with pytest.raises(OSError, match=r"item.npy ends \d+ elements early"):
        list(fed)


def test_memory_that_may_not_hold_a_batch_is_refused(either):
    with pytest.raises(ValueError, match=f"too few for batches of {BATCH} rows"):
        replace(either.disk, memory=either.least - 1).plan(BATCH)


def test_scattered_elements_are_gathered_a_few_regions_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_array, "REGION_BITS", 4)  # bits: regions of four elements
    monkeypatch.setattr(disk_array, "REGIONS", 3)
    np.save(tmp_path / "a.npy", np.arange(1000, dtype=np.int32)[::-1])
    array = DiskArray.of(np.load(tmp_path / "a.npy", mmap_mode="r"))
    maps, memmap = [], np.memmap
    monkeypatch.setattr(np, "memmap", lambda *args: maps.append(args) or memmap(*args))
    index = np.sort(np.random.default_rng(0).integers(0, 1000, 200))
    assert array.gather(index).tolist() == (999 - index).tolist()
    regions = len(np.unique(index // 4))
    assert len(maps) == -(-regions // 3)
    assert array.gather(index[:0]).tolist() == []
    assert array.max() == 999
    with pytest.raises(IndexError):
        array.gather(np.array([1000]))
