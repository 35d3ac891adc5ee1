"""90_score scores any rows with any checkpoint."""

import re
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from features.settings import PrepareSettings
from models.network import Network
from models.settings import (
    CrossSettings,
    NetworkSettings,
    TransformerSettings,
)
from pipeline.inference import score_rows
from tests.helpers import checkpoints
from tests.helpers.checkpoints import randomised
from tests.helpers.networks.parity import FIXTURES, marks
from tests.helpers.scoring import (
    DIN,
    DIN_JSON,
    ITEMS,
    MAX_LEN,
    QIN,
    QIN_JSON,
    TAGS,
    WIDTH,
    assert_close,
    directly,
    fuxictr,
    item_table,
    make_fit,
    make_store,
    narrow,
    ours,
    put,
    refused,
    run,
    scores_of,
)

PUBLISHED = {
    "qin": (QIN, checkpoints.qin(2), QIN_JSON | {"model": "QIN_variety_v9"}),
    "qin, by its names": (QIN, checkpoints.qin(2), QIN_JSON),
    "din, dropout": (DIN, checkpoints.din(True), DIN_JSON | {"model": "DIN"}),
    "din, by its names": (DIN, checkpoints.din(False), DIN_JSON),
}


@pytest.mark.parametrize(("cfg", "names", "settings"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_checkpoint_scores_as_its_network_does(capsys, folder, cfg, names, settings):
    network, out = randomised(Network(cfg, item_table(folder))), folder / "new" / "p.parquet"
    arguments = fuxictr(folder, network, names, settings | {"items": ITEMS, "tags": TAGS})
    code, output, _ = run(capsys, *arguments, "--out", out)
    scored, rows = pl.read_parquet(out), pl.read_parquet(folder / "test.parquet")
    want = directly(network, folder / "test.parquet")
    assert code == 0
    assert scored.schema == {"ID": pl.Int64, "probability": pl.Float64}
    assert scored["ID"].to_list() == rows["ID"].to_list()
    assert_close(scored["probability"], want)
    line = rf"90_score 20 rows -> {re.escape(str(out))} mean={want.mean():.4f} \(\d+\.\d s\)\n"
    assert re.fullmatch(line, output)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def transformer_dcn(folder: Path, last: int, max_len: int) -> tuple[list, Network]:
    """Arguments for a published Transformer_DCN of max_len 64, and a network of `max_len`."""
    cfg = NetworkSettings(
        interest="transformer",
        interaction="cross",
        embedding_dim=4,
        max_len=max_len,
        transformer=TransformerSettings(layers=1, last=last, feedforward=5, mask="as_published"),
        cross=CrossSettings(layers=1, deep=(6, 5), hidden=(4,)),
    )
    settings = {"model": "Transformer_DCN", "embedding_dim": 4, "max_len": 64, "batch_norm": False}
    settings |= {
        "num_heads": 1,
        "transformer_layers": 1,
        "dim_feedforward": 5,
        "first_k_cols": last,
    }
    settings |= {"dcn_cross_layers": 1, "dcn_hidden_units": [6, 5], "mlp_hidden_units": [4]}
    network = randomised(Network(cfg, item_table(folder)))
    return fuxictr(folder, network, checkpoints.transformer_dcn(True), settings), network


def test_transformer_dcn_scores_as_published_with_its_inverted_mask(capsys, folder):
    arguments, network = transformer_dcn(folder, last=2, max_len=WIDTH)  # its lists are no longer
    want = directly(network, folder / "test.parquet", max_len=WIDTH)
    assert_close(scores_of(capsys, folder, arguments), want)


def test_lists_shorter_than_the_transformers_output_are_refused(capsys, folder):
    arguments, _ = transformer_dcn(folder, last=16, max_len=64)
    refused(capsys, folder, arguments, "transformer.last = 16 exceeds max_len = 12")


def test_csv_and_parquet_hold_the_same_and_replace_an_old_file(capsys, folder, qin):
    arguments, _ = qin
    (folder / "p.csv").write_text("old")
    assert run(capsys, *arguments, "--out", folder / "p.csv")[0] == 0
    assert run(capsys, *arguments, "--out", folder / "p.parquet")[0] == 0
    assert pl.read_csv(folder / "p.csv").equals(pl.read_parquet(folder / "p.parquet"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(folder, monkeypatch):
    def half(scores: pl.DataFrame, path: Path) -> None:
        path.write_text("ID,prob", encoding="utf-8")
        raise OSError("no space left on device")

    out = folder / "out" / "p.csv"
    out.parent.mkdir()
    out.write_text("old")
    monkeypatch.setitem(score_rows.WRITERS, ".csv", half)
    with pytest.raises(OSError, match="no space left"):
        score_rows.write(pl.DataFrame({"ID": [0], "probability": [0.5]}), out)
    assert [(path.name, path.read_text()) for path in out.parent.iterdir()] == [("p.csv", "old")]


def test_rows_without_id_are_numbered(capsys, folder, qin):
    arguments, network = qin
    arguments[arguments.index("--rows") + 1] = folder / "train.parquet"
    assert run(capsys, *arguments, "--out", folder / "p.parquet")[0] == 0
    scored = pl.read_parquet(folder / "p.parquet")
    assert scored["ID"].to_list() == list(range(80))
    want = directly(network, folder / "train.parquet")
    assert_close(scored["probability"], want)


def sequences(folder: Path) -> list[list[int]]:
    return pq.read_table(folder / "test.parquet")["item_seq"].to_pylist()


def test_histories_may_come_without_padding(capsys, folder, qin):
    arguments, _ = qin
    before = scores_of(capsys, folder, arguments)
    unpadded = [[i for i in seq if i] for seq in sequences(folder)]
    assert {len(seq) for seq in unpadded} > {0, WIDTH}
    for kind in (pa.list_(pa.int32()), pa.large_list(pa.uint16())):
        put(folder, "test", "item_seq", pa.array(unpadded, kind))
        assert scores_of(capsys, folder, arguments) == before


def test_rows_without_any_history_are_scored(capsys, folder, qin):
    arguments, _ = qin
    n_rows = len(sequences(folder))
    put(folder, "test", "item_seq", [[0] * WIDTH] * n_rows)
    before = scores_of(capsys, folder, arguments)
    for element in (pa.int64(), pa.null()):  # writers leave empty lists without a type
        put(folder, "test", "item_seq", pa.array([[]] * n_rows, pa.list_(element)))
        assert scores_of(capsys, folder, arguments) == before


def test_only_the_last_max_len_items_reach_the_network(capsys, folder, qin):
    arguments, _ = qin
    before, histories = scores_of(capsys, folder, arguments), sequences(folder)
    full = next(row for row, seq in enumerate(histories) if seq[-MAX_LEN - 1])
    histories[full][-MAX_LEN - 1] = histories[full][-MAX_LEN - 1] % (ITEMS - 1) + 1
    put(folder, "test", "item_seq", histories)
    assert scores_of(capsys, folder, arguments) == before
    histories[full][-MAX_LEN:] = [i % (ITEMS - 1) + 1 for i in histories[full][-MAX_LEN:]]
    put(folder, "test", "item_seq", histories)
    after = scores_of(capsys, folder, arguments)
    assert [row for row in range(20) if after[row] != before[row]] == [full]


def test_content_is_as_wide_as_the_checkpoint_has_it(capsys, folder):
    narrow(folder)
    network = randomised(Network(QIN, item_table(folder)))
    arguments = fuxictr(folder, network, checkpoints.qin(2), QIN_JSON)
    assert_close(scores_of(capsys, folder, arguments), directly(network, folder / "test.parquet"))


def test_too_little_memory_is_an_error_with_a_remedy(capsys, folder, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    store = make_store(folder, PrepareSettings())
    network = randomised(Network(DIN, item_table(folder)))
    arguments = ours(folder, make_fit(store, network, DIN), store)
    monkeypatch.setattr(score_rows, "predict", too_much)
    refused(capsys, folder, arguments, "90_score needs more memory than cpu has; take the CPU")


BLACKBOXES = sorted(path.parent for path in FIXTURES.rglob("hyperparameters.json"))


@marks[0]
@marks[1]
@pytest.mark.parametrize("box", BLACKBOXES, ids=lambda box: box.name)
def test_published_scores_come_out(capsys, tmp_path, box):
    (model,) = box.glob("*.model")
    arguments = ["--checkpoint", model, "--format", "fuxictr", "--rows", box / "test.parquet"]
    arguments += ["--settings", box / "hyperparameters.json", "--items", box / "item_info.parquet"]
    assert run(capsys, *arguments, "--out", tmp_path / "p.parquet")[0] == 0
    scored, expected = (
        pl.read_parquet(path) for path in (tmp_path / "p.parquet", box / "expected.parquet")
    )
    assert scored["ID"].equals(expected["ID"])
    assert (scored["probability"] - expected["probability"]).abs().max() < 1e-5
