"""A tiny challenge, checkpoints of networks on it, and runs of 90_score."""

import importlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from features.settings import PrepareSettings
from features.store import prepare, schema
from features.store.store import open_store
from models.batches.rows import Rows, spans
from models.items import ItemTable
from models.network import Network
from models.settings import (
    DinSettings,
    MlpSettings,
    NetworkSettings,
    QnnSettings,
)
from pipeline.artifacts import spec
from pipeline.artifacts import store as artifacts
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.inference.arguments import ScoreArgs
from tests.helpers.checkpoints import randomised, saved
from tests.helpers.worlds import lists

WIDTH, ITEMS, TAGS, MAX_LEN = 12, 40, 20, 5
SIZES = {"embedding_dim": 4, "max_len": MAX_LEN}
QIN = NetworkSettings(
    interest="asta", interaction="qnn", **SIZES, qnn=QnnSettings(layers=2, rows=3)
)
DIN = NetworkSettings(
    interest="din",
    interaction="mlp",
    **SIZES,
    din=DinSettings(hidden=(16, 8), softmax=True),
    mlp=MlpSettings(hidden=(32, 16)),
)
QIN_JSON = SIZES | {"num_layers": 2, "num_row": 3, "batch_norm": True, "net_dropout": 0.1}
DIN_JSON = SIZES | {
    "attention_hidden_units": [16, 8],
    "din_use_softmax": True,
    "dnn_hidden_units": [32, 16],
    "batch_norm": True,
    "dnn_activations": "ReLU",
}


def item_table(folder: Path) -> ItemTable:
    info = pq.read_table(folder / "item_info.parquet")
    return ItemTable(
        tags=torch.tensor(info["item_tags"].to_pylist()),
        content=torch.tensor(info["item_emb_d128"].to_pylist()),
        n_tags=TAGS,
    )


def assert_close(got, want: np.ndarray) -> None:
    """Equal to 1e-6, and not only because every row has the same score."""
    assert want.std() > 0.002
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def directly(network: Network, rows: Path, max_len: int = MAX_LEN) -> np.ndarray:
    """The network's probabilities for the rows of a file, without our reader."""
    columns = pl.read_parquet(rows).to_dict(as_series=False)
    recent = [[i for i in seq[-max_len:] if i] for seq in columns["item_seq"]]
    ints = {
        name: torch.tensor(columns[column])
        for name, column in (("user", "user_id"), ("item", "item_id"), ("likes", "likes_level"))
    }
    whole_file = Rows(
        **ints,
        views=torch.tensor(columns["views_level"]),
        history=torch.arange(len(recent)),
        values=torch.tensor([i for items in recent for i in items]),
        **spans(torch.tensor(np.cumsum([0, *map(len, recent)]))),
        n_items=ITEMS,
        max_len=max_len,
    )
    with torch.no_grad():
        logits = network.eval()(whole_file.batch(torch.arange(len(whole_file))))
    return logits.double().sigmoid().numpy()


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("pipeline.90_score").main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return ended.value.code, output.out, output.err


def fuxictr(folder: Path, network: Network, names: list[str], settings: dict) -> list:
    """A published checkpoint beside the data; the arguments that score test.parquet with it."""
    torch.save(saved(network, names), folder / "any.model")
    (folder / "settings.json").write_text(json.dumps(settings))
    arguments = ["--checkpoint", folder / "any.model", "--format", "fuxictr"]
    arguments += ["--settings", folder / "settings.json", "--rows", folder / "test.parquet"]
    return [*arguments, "--items", folder / "item_info.parquet"]


def of_run(submission: Path, rows: Path) -> ScoreArgs:
    """The arguments of 90_score that score `rows` with a whole run."""
    others = dict.fromkeys(field.name for field in fields(ScoreArgs))
    return ScoreArgs(**others | {"run": str(submission), "rows": rows, "device": "cpu"})


def put(folder: Path, file: str, column: str, values: pa.Array | list) -> None:
    """Replace a column; a list takes the type of the old column."""
    table = pq.read_table(folder / f"{file}.parquet")
    index = table.schema.get_field_index(column)
    if isinstance(values, list):
        values = pa.array(values, table.schema.field(index).type)
    pq.write_table(table.set_column(index, column, values), folder / f"{file}.parquet")


def scores_of(capsys, folder: Path, arguments: list) -> list[float]:
    code, _, error = run(capsys, *arguments, "--out", folder / "p.parquet")
    assert code == 0, error
    return pl.read_parquet(folder / "p.parquet")["probability"].to_list()


def changed(file: str, column: str, row: int, value):
    """A function that writes `value` into one cell."""

    def change(folder: Path) -> None:
        values = pq.read_table(folder / f"{file}.parquet")[column].to_pylist()
        values[row] = value
        put(folder, file, column, values)

    return change


def without(file: str, column: str):
    def change(folder: Path) -> None:
        path = folder / f"{file}.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return change


def narrow(folder: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 64)).astype(np.float32)
    vectors[0] = 0
    put(folder, "item_info", "item_emb_d128", lists(vectors, pa.float32()))


def refused(capsys, folder: Path, arguments: list, message: str) -> str:
    """Asserts exit code 2, one message, an unchanged old file and no other file."""
    out = folder / "out" / "p.parquet"
    out.parent.mkdir(exist_ok=True)
    out.write_text("old")
    code, _, error = run(capsys, *arguments, *([] if "--out" in arguments else ["--out", out]))
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    assert message in error
    assert [(p.name, p.read_text()) for p in out.parent.iterdir()] == [("p.parquet", "old")]
    return error


def replaced(arguments: list, **changes) -> list:
    """`arguments` with other options; None removes one."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    options |= {f"--{name}": value for name, value in changes.items()}
    return [part for option in options.items() if option[1] is not None for part in option]


def write_to(target: ArtifactSpec, write) -> Path:
    with artifacts.write_artifact(target) as out:
        write(out.path)
    return target.path


def make_store(folder: Path, settings: PrepareSettings) -> Path:
    """Write the folder's store where 10_prepare would."""
    target = ArtifactSpec(
        "10_prepare", "store", folder / "world" / "10_prepare", settings.in_force()
    )
    files = schema.files(folder)
    return write_to(target, lambda out: prepare.write_store(out, files, False, None, settings))


def make_fit(
    store: Path, network: Network, cfg: NetworkSettings, content: str | None = None
) -> Path:
    """Write a fit of `cfg` on the store where 50_train would; `content` stands in its record."""
    content = content or spec.record(store)["settings"].get("content", "given")
    inputs = {"store": spec.record(store)["digest"]}
    settings = {"network": asdict(cfg), "seed": 0, "fold": -1}
    target = ArtifactSpec("50_train", "some", store.parents[1] / "50_train", settings, inputs)
    with artifacts.write_artifact(target) as out:
        torch.save(network.state_dict(), out / "model.pt")
        out.report = {"content": content}
    return target.path


def ours(folder: Path, fit: Path, items: Path) -> list:
    """Arguments that score test.parquet with one of our fits."""
    arguments = ["--checkpoint", fit, "--format", "ours", "--rows", folder / "test.parquet"]
    return [*arguments, "--items", items, "--device", "cpu"]


RICH = replace(QIN, item_levels=True, item_codes=True, user_id=True)


def rich_network(store: Path, n_users: int, cfg: NetworkSettings = RICH) -> Network:
    arrays = asdict(open_store(store).items)
    items = {name: torch.tensor(np.array(a)) for name, a in arrays.items() if a is not None}
    return randomised(Network(cfg, ItemTable(**items, n_tags=TAGS, n_codes=9), n_users))
