"""90_score refuses files, checkpoints and arguments that do not fit, in one message."""

import json
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.helpers import checkpoints
from tests.helpers.scoring import (
    ITEMS,
    QIN_JSON,
    WIDTH,
    changed,
    narrow,
    refused,
    replaced,
    run,
    without,
)


def one_item_short(folder: Path) -> None:
    path = folder / "item_info.parquet"
    pq.write_table(pq.read_table(path).slice(0, ITEMS - 1), path)


def no_rows(folder: Path) -> None:
    path = folder / "test.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)


HISTORY = [0] * (WIDTH - 3) + [3, 4, 5]
DATA = {
    "target beyond the table": (changed("test", "item_id", 3, 40), "item_id: found 40 in row 3"),
    "padding as target": (changed("test", "item_id", 3, 0), "found 0 in row 3 (1 row); expected 1"),
    "history beyond the table": (
        changed("test", "item_seq", 3, [0, 40, *[1] * 10]),
        "item_seq: found 40 in row 3 (1 row); expected 0..39",
    ),
    "negative history": (changed("test", "item_seq", 3, [0, -1, *[1] * 10]), "found -1 in row 3"),
    "padding on the right": (
        changed("test", "item_seq", 3, [*HISTORY[1:], 0]),
        "0 at position 11 in row 3 (1 row); expected padding zeros on the left only",
    ),
    "a short padded list": (
        changed("test", "item_seq", 3, HISTORY[1:]),
        "found 11 elements in row 3 (1 row); expected lists of 12 elements, or shorter ones",
    ),
    "a long list among padded ones": (
        changed("test", "item_seq", 3, [1, *HISTORY[1:], 1]),
        "expected lists of 13 elements, or shorter ones without padding",
    ),
    "null history": (changed("test", "item_seq", 3, None), "found null in row 3"),
    "null in a history": (
        changed("test", "item_seq", 3, [*HISTORY[1:], None]),
        "expected no nulls in lists",
    ),
    "level": (changed("test", "likes_level", 3, 11), "likes_level: found 11 in row 3"),
    "the same id twice": (changed("test", "ID", 3, 0), "ID: found 0 in row 3"),
    "no history": (without("test", "item_seq"), "test.parquet: item_seq: found columns ID, user"),
    "no levels": (without("test", "views_level"), "expected one column of this name"),
    "no tags": (without("item_info", "item_tags"), "item_info.parquet: item_tags: found columns"),
    "no rows": (no_rows, "test.parquet: found 0 rows; expected at least one row"),
    "tag beyond the table": (
        changed("item_info", "item_tags", 3, [0, 0, 0, 0, 20]),
        "item_tags: found 20 in row 3 (1 row); expected 0..19",
    ),
    "four tags": (changed("item_info", "item_tags", 3, [0] * 4), "expected lists of 5 elements"),
    "content of another width": (narrow, "found 64 elements in row 0"),
    "no number in content": (
        changed("item_info", "item_emb_d128", 3, [float("nan")] * 128),
        "expected finite float32 numbers",
    ),
    "an item short": (one_item_short, "found 39 rows; expected 40 rows, as the checkpoint's"),
    "items out of order": (changed("item_info", "item_id", 3, 4), "equal to the row's number"),
    "rows that are no parquet": (
        lambda folder: (folder / "test.parquet").write_text("ID,item_id"),
        "expected a parquet file",
    ),
    "no items": (
        lambda folder: (folder / "item_info.parquet").unlink(),
        "item_info.parquet: found ",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DATA.values(), ids=DATA)
def test_files_that_cannot_be_scored_are_refused_by_file_column_and_row(
    capsys, folder, qin, damage, message
):
    damage(folder)
    error = refused(capsys, folder, qin[0], message)
    assert "--rows, --items" in error


def settings(**changes):
    def change(folder: Path) -> None:
        kept = {k: v for k, v in (QIN_JSON | changes).items() if v != "absent"}
        (folder / "settings.json").write_text(json.dumps(kept))

    return change


def state(**changes):
    """Replaces parameters by name; None removes one."""

    def change(folder: Path) -> None:
        kept = torch.load(folder / "any.model", weights_only=True) | changes
        torch.save({k: v for k, v in kept.items() if v is not None}, folder / "any.model")

    return change


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-code-ran"),))


def file(content: bytes):
    return lambda folder: (folder / "any.model").write_bytes(content)


NAME = "qnn.layer.1.linear.0"
CHECKPOINTS = {
    "more layers": (
        settings(num_layers=3),
        "any.model does not fit its settings: missing: qnn.layer.2.linear.0.weight;",
    ),
    "fewer layers": (settings(num_layers=1), "extra: qnn.activation.1.weight; qnn.layer.1.linear"),
    "other rows": (
        settings(num_row=4),
        "mis-shaped: qnn.layer.0.linear.0.weight (840, 280), expected (1120, 280)",
    ),
    "all three": (
        state(**{f"{NAME}.bias": None, "fm.weight": torch.ones(2), "qnn.fc.bias": torch.ones(2)}),
        f"missing: {NAME}.bias | extra: fm.weight | mis-shaped: qnn.fc.bias (2,), expected (1,)",
    ),
    "another family": (
        settings(model="DIN"),
        "settings.json: model = 'DIN', but the names in the checkpoint are those of qin",
    ),
    "misspelt key": (
        settings(num_row="absent", num_rows=3),
        "missing key 'num_row', there is 'num_rows'",
    ),
    "no tables": (
        state(**dict.fromkeys(checkpoints.TABLES)),
        "missing: embedding_layer.embedding_layer.embedding_layers.item_id.weight;",
    ),
    "unknown family": (settings(model="FinalNet"), "one of qin, din, transformer_dcn"),
    "missing keys": (
        settings(num_row="absent", max_len="absent"),
        "missing key 'max_len'; missing k",
    ),
    "text for a number": (settings(num_row="3"), "num_row = '3' must be a whole number"),
    "impossible": (settings(num_row=0), "num_row = 0 must be a whole number in [1, inf)"),
    "other activations": (settings(dnn_activations="Dice"), "dnn_activations = 'Dice', but only"),
    "another catalogue": (settings(items=41), "says items = 41, the table in"),
    "no json": (
        lambda folder: (folder / "settings.json").write_text("{"),
        "cannot be read as JSON",
    ),
    "a list": (lambda folder: (folder / "settings.json").write_text("[]"), "holds a list"),
    "absent": (lambda folder: (folder / "any.model").unlink(), "no checkpoint "),
    "text": (file(b"weights"), "cannot be loaded (UnpicklingError): it is damaged"),
    "empty": (file(b""), "cannot be loaded (EOFError): it is damaged"),
    "code": (file(pickle.dumps(Hostile())), "or holds code, which is never run"),
    "nested": (
        lambda folder: torch.save({"state": {"a": torch.ones(1)}}, folder / "any.model"),
        "holds no state_dict; expected names",
    ),
    "a tensor": (lambda folder: torch.save(torch.ones(1), folder / "any.model"), "no state_dict"),
    "nan": (state(**{"qnn.fc.bias": torch.tensor([float("nan")])}), "20 of 20 scores are not num"),
}


@pytest.mark.parametrize(("damage", "message"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoints_that_do_not_fit_are_refused_by_name(
    capsys, folder, qin, damage, message, monkeypatch
):
    monkeypatch.chdir(folder)
    damage(folder)
    error = refused(capsys, folder, qin[0], message)
    assert len(error.splitlines()) == 1
    assert not Path("hostile-code-ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "p.json"}, "must end in .csv or .parquet"),
        ({"settings": None}, "--format fuxictr needs --settings"),
        ({"format": "ours"}, "--settings goes with --format fuxictr"),
        ({"device": "tpu"}, "--device tpu must be auto, cpu, cuda or cuda:<n>"),
        ({"device": "cuda:99"}, "torch sees"),
    ],
)
def test_impossible_arguments_are_refused(capsys, folder, qin, changes, message):
    refused(capsys, folder, replaced(qin[0], **changes), message)


CHECKPOINT = ("--checkpoint", "c", "--format", "ours", "--items", "i")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latency", "qim"], "there are qin, din, final, transformer_dcn, did you mean 'qin'?"),
        (["--latency", "--items", "i"], "--latency does not read --items without --checkpoint"),
        (["--latency", "--history", "-1"], "--history -1 must be 0 or more"),
        (["--latency", "--checkpoint", "c"], "--latency needs --format, --items"),
        (["--latency", "qin", *CHECKPOINT], "--latency qin: no names beside --checkpoint"),
        (["--export", "e", "--format", "ours"], "--export needs --checkpoint, --items"),
        (["--export", "e", *CHECKPOINT, "--rows", "r"], "--export does not read --rows"),
        (["--export", "e", *CHECKPOINT, "--device", "cuda"], "--export and --latency run on the"),
        (["--out", "p.csv", *CHECKPOINT], "--out needs --rows"),
        (["--out", "p.csv", *CHECKPOINT, "--rows", "r", "--history", "1"], "not read --history"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(capsys, arguments, message):
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert error.startswith("error: ")
    assert message in error


def link(folder: Path, kind: str, target: Path) -> Path:
    """Another name of the file `target`."""
    other = folder / "other.parquet"
    if kind == "symbolic":
        other.symlink_to(target)
    elif kind == "hard":
        other.hardlink_to(target)
    return target if kind == "same" else other


@pytest.mark.parametrize("kind", ["same", "symbolic", "hard"])
@pytest.mark.parametrize("file", ["test", "item_info", "item_feature"])
def test_an_input_is_never_overwritten(capsys, folder, qin, file, kind):
    before = (folder / f"{file}.parquet").read_bytes()
    out = link(folder, kind, folder / f"{file}.parquet")
    code, _, error = run(capsys, *qin[0], "--out", out)
    assert code == 2
    assert error.startswith(f"error: --out {out} is {folder / file}.parquet, or a part of it")
    assert error.count("\n") == 1
    assert (folder / f"{file}.parquet").read_bytes() == before


def test_nothing_is_exported_into_what_is_read(capsys, folder, qin):
    arguments = replaced(qin[0], rows=None, checkpoint=folder)
    code, _, error = run(capsys, *arguments, "--export", folder / "serving")
    assert code == 2
    assert "or a part of it, which is read" in error
