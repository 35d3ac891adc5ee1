"""Any rows by any checkpoint."""

import importlib
import json
import pickle
import re
from dataclasses import asdict, replace
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
from models.batches.rows import Rows
from models.items import ItemTable
from models.network import Network
from models.serving.request import Request
from models.settings import (
    CrossSettings,
    DinSettings,
    MlpSettings,
    NetworkSettings,
    QnnSettings,
    TransformerSettings,
)
from pipeline.artifacts import spec
from pipeline.artifacts import store as artifacts
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.inference import latency, score_rows
from pipeline.inference.export import Exported
from tests.helpers import checkpoints
from tests.helpers.checkpoints import randomised, saved
from tests.helpers.parity import FIXTURES, marks
from tests.helpers.worlds import lists, tiny_challenge

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


@pytest.fixture
def folder(tmp_path):
    """A challenge of 20 test rows; the first has no history."""
    made = tiny_challenge(tmp_path / "data", rows=80, width=WIDTH, items=ITEMS)
    changed("test", "item_seq", 0, [0] * WIDTH)(made)
    return made


def item_table(folder: Path) -> ItemTable:
    info = pq.read_table(folder / "item_info.parquet")
    return ItemTable(
        tags=torch.tensor(info["item_tags"].to_pylist()),
        content=torch.tensor(info["item_emb_d128"].to_pylist()),
        n_tags=TAGS,
    )


def close(got, want: np.ndarray) -> None:
    """Equal to 1e-6, and not because every row has the same score."""
    assert want.std() > 0.002
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def directly(network: Network, rows: Path, max_len: int = MAX_LEN) -> np.ndarray:
    """The network's probabilities, of rows taken from the file one by one."""
    columns = pl.read_parquet(rows).to_dict(as_series=False)
    recent = [[i for i in seq[-max_len:] if i] for seq in columns["item_seq"]]
    ints = {
        name: torch.tensor(columns[column])
        for name, column in (("user", "user_id"), ("item", "item_id"), ("likes", "likes_level"))
    }
    made = Rows(
        **ints,
        views=torch.tensor(columns["views_level"]),
        history=torch.arange(len(recent)),
        values=torch.tensor([i for items in recent for i in items]),
        offsets=torch.tensor(np.cumsum([0, *map(len, recent)])),
        n_items=ITEMS,
        max_len=max_len,
    )
    with torch.no_grad():
        logits = network.eval()(made.batch(torch.arange(len(made))))
    return logits.double().sigmoid().numpy()


def run(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("pipeline.90_score").main([str(word) for word in words])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def fuxictr(folder: Path, network: Network, names: list[str], given: dict) -> list:
    """A published checkpoint beside the data; the words that score test.parquet by it."""
    torch.save(saved(network, names), folder / "any.model")
    (folder / "given.json").write_text(json.dumps(given))
    words = ["--checkpoint", folder / "any.model", "--format", "fuxictr"]
    words += ["--settings", folder / "given.json", "--rows", folder / "test.parquet"]
    return [*words, "--items", folder / "item_info.parquet"]


@pytest.fixture
def qin(folder):
    """Words that score by a published QIN, and the network."""
    network = randomised(Network(QIN, item_table(folder)))
    return fuxictr(folder, network, checkpoints.qin(2), QIN_JSON), network


PUBLISHED = {
    "qin": (QIN, checkpoints.qin(2), QIN_JSON | {"model": "QIN_variety_v9"}),
    "qin, by its names": (QIN, checkpoints.qin(2), QIN_JSON),
    "din, dropout": (DIN, checkpoints.din(True), DIN_JSON | {"model": "DIN"}),
    "din, by its names": (DIN, checkpoints.din(False), DIN_JSON),
}


@pytest.mark.parametrize(("s", "names", "given"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_checkpoint_scores_as_its_network_does(capsys, folder, s, names, given):
    network, out = randomised(Network(s, item_table(folder))), folder / "new" / "p.parquet"
    words = fuxictr(folder, network, names, given | {"items": ITEMS, "tags": TAGS})
    code, said, _ = run(capsys, *words, "--out", out)
    scored, rows = pl.read_parquet(out), pl.read_parquet(folder / "test.parquet")
    want = directly(network, folder / "test.parquet")
    assert code == 0
    assert scored.schema == {"ID": pl.Int64, "probability": pl.Float64}
    assert scored["ID"].to_list() == rows["ID"].to_list()
    close(scored["probability"], want)
    line = rf"90_score 20 rows -> {re.escape(str(out))} mean={want.mean():.4f} \(\d+\.\d s\)\n"
    assert re.fullmatch(line, said)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def transformer_dcn(folder: Path, last: int, max_len: int) -> tuple[list, Network]:
    """Words that score by a published Transformer_DCN of max_len 64, and a network of `max_len`."""
    s = NetworkSettings(
        interest="transformer",
        interaction="cross",
        embedding_dim=4,
        max_len=max_len,
        transformer=TransformerSettings(layers=1, last=last, feedforward=5, mask="as_published"),
        cross=CrossSettings(layers=1, deep=(6, 5), hidden=(4,)),
    )
    given = {"model": "Transformer_DCN", "embedding_dim": 4, "max_len": 64, "batch_norm": False}
    given |= {"num_heads": 1, "transformer_layers": 1, "dim_feedforward": 5, "first_k_cols": last}
    given |= {"dcn_cross_layers": 1, "dcn_hidden_units": [6, 5], "mlp_hidden_units": [4]}
    network = randomised(Network(s, item_table(folder)))
    return fuxictr(folder, network, checkpoints.transformer_dcn(True), given), network


def test_transformer_dcn_scores_as_published_by_its_inverted_mask(capsys, folder):
    words, network = transformer_dcn(folder, last=2, max_len=WIDTH)  # its lists are no longer
    want = directly(network, folder / "test.parquet", max_len=WIDTH)
    close(scores(capsys, folder, words), want)


def test_lists_shorter_than_what_the_transformer_hands_on_are_refused(capsys, folder):
    words, _ = transformer_dcn(folder, last=16, max_len=64)
    refused(capsys, folder, words, "transformer.last = 16 exceeds max_len = 12")


def test_csv_holds_what_parquet_holds_and_replaces_what_was_there(capsys, folder, qin):
    words, _ = qin
    (folder / "p.csv").write_text("old")
    assert run(capsys, *words, "--out", folder / "p.csv")[0] == 0
    assert run(capsys, *words, "--out", folder / "p.parquet")[0] == 0
    assert pl.read_csv(folder / "p.csv").equals(pl.read_parquet(folder / "p.parquet"))


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(folder, monkeypatch):
    def half(scored: pl.DataFrame, path: Path) -> None:
        path.write_text("ID,prob")
        raise OSError("no space left on device")

    out = folder / "out" / "p.csv"
    out.parent.mkdir()
    out.write_text("old")
    monkeypatch.setitem(score_rows.ENDINGS, ".csv", half)
    with pytest.raises(OSError, match="no space left"):
        score_rows.write(pl.DataFrame({"ID": [0], "probability": [0.5]}), out)
    assert [(path.name, path.read_text()) for path in out.parent.iterdir()] == [("p.csv", "old")]


def test_rows_without_id_are_numbered(capsys, folder, qin):
    words, network = qin
    words[words.index("--rows") + 1] = folder / "train.parquet"
    assert run(capsys, *words, "--out", folder / "p.parquet")[0] == 0
    scored = pl.read_parquet(folder / "p.parquet")
    assert scored["ID"].to_list() == list(range(80))
    want = directly(network, folder / "train.parquet")
    close(scored["probability"], want)


def put(folder: Path, file: str, column: str, values: pa.Array | list) -> None:
    """Replace a column, a list in the type that it had."""
    table = pq.read_table(folder / f"{file}.parquet")
    index = table.schema.get_field_index(column)
    if isinstance(values, list):
        values = pa.array(values, table.schema.field(index).type)
    pq.write_table(table.set_column(index, column, values), folder / f"{file}.parquet")


def sequences(folder: Path) -> list[list[int]]:
    return pq.read_table(folder / "test.parquet")["item_seq"].to_pylist()


def scores(capsys, folder: Path, words: list) -> list[float]:
    code, _, error = run(capsys, *words, "--out", folder / "p.parquet")
    assert code == 0, error
    return pl.read_parquet(folder / "p.parquet")["probability"].to_list()


def test_histories_may_come_without_padding(capsys, folder, qin):
    words, _ = qin
    before = scores(capsys, folder, words)
    unpadded = [[i for i in seq if i] for seq in sequences(folder)]
    assert {len(seq) for seq in unpadded} > {0, WIDTH}
    for kind in (pa.list_(pa.int32()), pa.large_list(pa.uint16())):
        put(folder, "test", "item_seq", pa.array(unpadded, kind))
        assert scores(capsys, folder, words) == before


def test_only_the_last_max_len_items_reach_the_network(capsys, folder, qin):
    words, _ = qin
    before, histories = scores(capsys, folder, words), sequences(folder)
    full = next(row for row, seq in enumerate(histories) if seq[-MAX_LEN - 1])
    histories[full][-MAX_LEN - 1] = histories[full][-MAX_LEN - 1] % (ITEMS - 1) + 1
    put(folder, "test", "item_seq", histories)
    assert scores(capsys, folder, words) == before
    histories[full][-MAX_LEN:] = [i % (ITEMS - 1) + 1 for i in histories[full][-MAX_LEN:]]
    put(folder, "test", "item_seq", histories)
    after = scores(capsys, folder, words)
    assert [row for row in range(20) if after[row] != before[row]] == [full]


def changed(file: str, column: str, row: int, value):
    """One cell gets another value."""

    def mend(folder: Path) -> None:
        values = pq.read_table(folder / f"{file}.parquet")[column].to_pylist()
        values[row] = value
        put(folder, file, column, values)

    return mend


def without(file: str, column: str):
    def mend(folder: Path) -> None:
        path = folder / f"{file}.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return mend


def narrow(folder: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 64)).astype(np.float32)
    vectors[0] = 0
    put(folder, "item_info", "item_emb_d128", lists(vectors, pa.float32()))


def one_item_short(folder: Path) -> None:
    path = folder / "item_info.parquet"
    pq.write_table(pq.read_table(path).slice(0, ITEMS - 1), path)


def no_rows(folder: Path) -> None:
    path = folder / "test.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def test_content_is_as_wide_as_the_checkpoint_has_it(capsys, folder):
    narrow(folder)
    network = randomised(Network(QIN, item_table(folder)))
    words = fuxictr(folder, network, checkpoints.qin(2), QIN_JSON)
    close(scores(capsys, folder, words), directly(network, folder / "test.parquet"))


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


def refused(capsys, folder: Path, words: list, said: str) -> str:
    """Exit code 2 and one message; what was there stays, and nothing else appears."""
    out = folder / "out" / "p.parquet"
    out.parent.mkdir(exist_ok=True)
    out.write_text("old")
    code, _, error = run(capsys, *words, *([] if "--out" in words else ["--out", out]))
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("error: ") == 1
    assert "Traceback" not in error
    assert said in error
    assert [(p.name, p.read_text()) for p in out.parent.iterdir()] == [("p.parquet", "old")]
    return error


@pytest.mark.parametrize(("broken", "said"), DATA.values(), ids=DATA)
def test_files_that_cannot_be_scored_are_refused_by_file_column_and_row(
    capsys, folder, qin, broken, said
):
    broken(folder)
    error = refused(capsys, folder, qin[0], said)
    assert "--rows, --items" in error


def given(**changes):
    def mend(folder: Path) -> None:
        kept = {k: v for k, v in (QIN_JSON | changes).items() if v != "absent"}
        (folder / "given.json").write_text(json.dumps(kept))

    return mend


def state(**changes):
    """Parameters by name; None takes one away."""

    def mend(folder: Path) -> None:
        kept = torch.load(folder / "any.model", weights_only=True) | changes
        torch.save({k: v for k, v in kept.items() if v is not None}, folder / "any.model")

    return mend


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-code-ran"),))


def file(content: bytes):
    return lambda folder: (folder / "any.model").write_bytes(content)


NAME = "qnn.layer.1.linear.0"
CHECKPOINTS = {
    "more layers": (
        given(num_layers=3),
        "any.model does not fit its settings: missing: qnn.layer.2.linear.0.weight;",
    ),
    "fewer layers": (given(num_layers=1), "extra: qnn.activation.1.weight; qnn.layer.1.linear"),
    "other rows": (
        given(num_row=4),
        "mis-shaped: qnn.layer.0.linear.0.weight (840, 280), expected (1120, 280)",
    ),
    "all three": (
        state(**{f"{NAME}.bias": None, "fm.weight": torch.ones(2), "qnn.fc.bias": torch.ones(2)}),
        f"missing: {NAME}.bias | extra: fm.weight | mis-shaped: qnn.fc.bias (2,), expected (1,)",
    ),
    "another family": (
        given(model="DIN"),
        "given.json: model = 'DIN', but the names in the checkpoint are those of qin",
    ),
    "misspelt key": (
        given(num_row="absent", num_rows=3),
        "missing key 'num_row', there is 'num_rows'",
    ),
    "no tables": (
        state(**dict.fromkeys(checkpoints.TABLES)),
        "missing: embedding_layer.embedding_layer.embedding_layers.item_id.weight;",
    ),
    "unknown family": (given(model="FinalNet"), "one of qin, din, transformer_dcn"),
    "missing keys": (given(num_row="absent", max_len="absent"), "missing key 'max_len'; missing k"),
    "text for a number": (given(num_row="3"), "num_row = '3' must be a whole number"),
    "impossible": (given(num_row=0), "num_row = 0 must be a whole number in [1, inf)"),
    "other activations": (given(dnn_activations="Dice"), "dnn_activations = 'Dice', but only"),
    "another catalogue": (given(items=41), "says items = 41, the table in"),
    "no json": (lambda folder: (folder / "given.json").write_text("{"), "cannot be read as JSON"),
    "a list": (lambda folder: (folder / "given.json").write_text("[]"), "holds a list"),
    "absent": (lambda folder: (folder / "any.model").unlink(), "no checkpoint "),
    "text": (file(b"weights"), "cannot be loaded (UnpicklingError): it is damaged"),
    "empty": (file(b""), "cannot be loaded (EOFError): it is damaged"),
    "code": (file(pickle.dumps(Hostile())), "or holds code, which is never run"),
    "nested": (
        lambda folder: torch.save({"state": {"a": torch.ones(1)}}, folder / "any.model"),
        "holds no state_dict; expected names",
    ),
    "a tensor": (lambda folder: torch.save(torch.ones(1), folder / "any.model"), "no state_dict"),
    "nan": (state(**{"qnn.fc.bias": torch.tensor([float("nan")])}), "20 of 20 scores are no num"),
}


@pytest.mark.parametrize(("broken", "said"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoints_that_do_not_fit_are_refused_by_name(
    capsys, folder, qin, broken, said, monkeypatch
):
    monkeypatch.chdir(folder)
    broken(folder)
    error = refused(capsys, folder, qin[0], said)
    assert len(error.splitlines()) == 1
    assert not Path("hostile-code-ran").exists()


def words_of(words: list, **changes) -> list:
    """`words` with options replaced, or taken away by None."""
    chosen = dict(zip(words[::2], words[1::2], strict=True))
    chosen |= {f"--{name}": value for name, value in changes.items()}
    return [word for pair in chosen.items() if pair[1] is not None for word in pair]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"out": "p.json"}, "must end in .csv or .parquet"),
        ({"settings": None}, "--format fuxictr needs --settings"),
        ({"format": "ours"}, "--settings goes with --format fuxictr"),
        ({"device": "tpu"}, "--device tpu must be auto, cpu, cuda or cuda:<n>"),
        ({"device": "cuda:99"}, "torch sees"),
    ],
)
def test_impossible_words_are_refused(capsys, folder, qin, changes, said):
    refused(capsys, folder, words_of(qin[0], **changes), said)


def published(place: ArtifactSpec, fill) -> Path:
    with artifacts.write_artifact(place) as out:
        fill(out.path)
    return place.path


def make_store(folder: Path, settings: PrepareSettings) -> Path:
    """The folder's store, where 10_prepare would put it."""
    place = ArtifactSpec(
        "10_prepare", "store", folder / "world" / "10_prepare", settings.in_force()
    )
    files = schema.files(folder)
    return published(place, lambda out: prepare.write_store(out, files, False, None, settings))


def make_fit(store: Path, network: Network, s: NetworkSettings, content: str | None = None) -> Path:
    """A fit of `s` on the store, where 50_train would put it; `content` as it says it was."""
    content = content or spec.record(store)["settings"].get("content", "given")
    inputs = {"store": spec.record(store)["digest"]}
    given = {"network": asdict(s), "seed": 0, "fold": -1}
    place = ArtifactSpec("50_train", "some", store.parents[1] / "50_train", given, inputs)

    with artifacts.write_artifact(place) as out:
        torch.save(network.state_dict(), out / "model.pt")
        out.report = {"content": content}
    return place.path


def ours(folder: Path, fit: Path, items: Path) -> list:
    words = ["--checkpoint", fit, "--format", "ours", "--rows", folder / "test.parquet"]
    return [*words, "--items", items, "--device", "cpu"]


def test_a_checkpoint_of_ours_scores_as_its_network_does_with_either_kind_of_items(capsys, folder):
    store, network = (
        make_store(folder, PrepareSettings()),
        randomised(Network(DIN, item_table(folder))),
    )
    fit = make_fit(store, network, DIN)
    want = directly(network, folder / "test.parquet")
    for checkpoint in (fit, fit / "model.pt"):
        for items in (store, folder / "item_info.parquet"):
            words = ours(folder, checkpoint, items)
            code, said, _ = run(capsys, *words, "--out", folder / "p.parquet")
            assert (code, "note" in said) == (0, False)
            got = pl.read_parquet(folder / "p.parquet")["probability"]
            close(got, want)


RICH = replace(QIN, item_levels=True, item_codes=True, user_id=True)


def rich_network(store: Path, n_users: int, s: NetworkSettings = RICH) -> Network:
    given = asdict(open_store(store).items)
    items = {name: torch.tensor(np.array(a)) for name, a in given.items() if a is not None}
    return randomised(Network(s, ItemTable(**items, n_tags=TAGS, n_codes=9), n_users))


def test_levels_codes_and_users_come_from_the_store_and_the_rows(capsys, folder):
    store = make_store(folder, PrepareSettings(codes=2, codebook=4))
    network = rich_network(store, n_users=400)
    fit = make_fit(store, network, RICH)
    got = scores(capsys, folder, ours(folder, fit, store))
    want = directly(network, folder / "test.parquet")
    close(got, want)
    refused(
        capsys,
        folder,
        ours(folder, fit, folder / "item_info.parquet"),
        "the network reads semantic codes",
    )
    changed("test", "user_id", 3, 400)(folder)
    refused(capsys, folder, ours(folder, fit, store), "user_id: found 400 in row 3")


def test_a_device_that_is_too_small_is_said_with_what_to_do(capsys, folder, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    store = make_store(folder, PrepareSettings())
    network = randomised(Network(DIN, item_table(folder)))
    words = ours(folder, make_fit(store, network, DIN), store)
    monkeypatch.setattr(score_rows, "predict", too_much)
    refused(capsys, folder, words, "90_score needs more memory than cpu has; take the CPU")


def test_item_levels_are_read_from_beside_item_info_and_missed_by_name(capsys, folder):
    s = replace(QIN, item_levels=True)
    store = make_store(folder, PrepareSettings())
    network = rich_network(store, 0, s)
    words = ours(folder, make_fit(store, network, s), folder / "item_info.parquet")
    want = directly(network, folder / "test.parquet")
    close(scores(capsys, folder, words), want)
    (folder / "item_feature.parquet").unlink()
    refused(capsys, folder, words, "item_feature.parquet: found ")


def test_vectors_that_a_store_rebuilt_are_not_taken_from_item_info(capsys, folder):
    rng = np.random.default_rng(0)
    feature = pq.read_table(folder / "item_feature.parquet")
    for name in schema.VECTORS:
        vectors = lists(rng.normal(size=(len(feature), 70)).astype(np.float32), pa.float32())
        feature = feature.append_column(name, vectors)
    pq.write_table(feature, folder / "item_feature.parquet")
    store = make_store(folder, PrepareSettings(content="joint_pca", content_width=16))
    network = rich_network(store, 0, QIN)
    fit = make_fit(store, network, QIN)
    want = directly(network, folder / "test.parquet")
    got = scores(capsys, folder, ours(folder, fit, store))
    close(got, want)
    words = ours(folder, fit, folder / "item_info.parquet")
    refused(capsys, folder, words, "was trained on prepare.content=joint_pca")
    other = make_store(folder, PrepareSettings())
    refused(
        capsys, folder, ours(folder, fit, other), "128 numbers in a content vector, expected 16"
    )


def test_a_store_whose_content_means_something_else_is_refused(capsys, folder):
    store = make_store(folder, PrepareSettings())
    fit = make_fit(store, randomised(Network(QIN, item_table(folder))), QIN, content="joint_pca")
    changed("test", "likes_level", 0, 1)(folder)
    changed("test", "views_level", 0, 1)(folder)
    place = ArtifactSpec("10_prepare", "store", folder / "elsewhere")
    files = schema.files(folder)
    other = published(place, lambda out: prepare.write_store(out, files, False))
    words = ours(folder, fit, other)
    refused(capsys, folder, words, "its codes or content vectors mean something else")


def test_a_store_with_more_tags_than_the_table_is_refused(capsys, folder):
    store = make_store(folder, PrepareSettings())
    network = randomised(Network(QIN, replace(item_table(folder), n_tags=10)))
    words = ours(folder, make_fit(store, network, QIN), store)
    refused(capsys, folder, words, "holds tags up to 19, expected at most 9")


def test_another_store_than_the_one_trained_on_is_noted(capsys, folder):
    store = make_store(folder, PrepareSettings())
    fit = make_fit(store, randomised(Network(QIN, item_table(folder))), QIN)
    changed("test", "likes_level", 0, 1)(folder)
    changed("test", "views_level", 0, 1)(folder)
    place = ArtifactSpec("10_prepare", "store", folder / "elsewhere")
    files = schema.files(folder)
    other = published(place, lambda out: prepare.write_store(out, files, False))
    code, said, _ = run(capsys, *ours(folder, fit, other), "--out", folder / "p.csv")
    assert code == 0
    assert f"90_score note: {other} is not the store that {fit / 'model.pt'} was trained" in said


def test_a_folder_that_is_no_fit_is_refused(capsys, folder):
    store = make_store(folder, PrepareSettings())
    words = ours(folder, store, store)
    refused(capsys, folder, words, "expected a folder of pipeline.50_train")
    refused(capsys, folder, ours(folder, folder, store), "is no fit of ours: expected a folder of")
    absent = ours(folder, folder / "no-such-fit", store)
    refused(capsys, folder, absent, "no-such-fit is no fit of ours")


def exported_scores(folder: Path) -> np.ndarray:
    """Probabilities of test.parquet's rows by the network in `serving`, a request each."""
    exported, rows = Exported(folder / "serving"), pl.read_parquet(folder / "test.parquet")
    columns = ("item_seq", "item_id", "likes_level", "views_level")
    logits = []
    for history, *row, user in rows.select(*columns, "user_id").iter_rows():
        asked = Request(torch.tensor(history), *torch.tensor(row)[:, None], user=user)
        logits.append(exported.score(asked))
    return torch.cat(logits).double().sigmoid().numpy()


def test_a_published_checkpoint_is_exported(capsys, folder, qin):
    words, network = words_of(qin[0], rows=None), qin[1]
    code, said, _ = run(capsys, *words, "--export", folder / "serving")
    assert code == 0
    assert re.search(rf"90_score -> {folder}/serving difference=\d\.\de-\d\d \(", said)
    np.testing.assert_allclose(
        exported_scores(folder), directly(network, folder / "test.parquet"), rtol=0, atol=1e-5
    )
    code, _, error = run(capsys, *words, "--export", folder / "serving")
    assert code == 2
    assert "serving is there already; remove it, or name another" in error


def test_a_fit_of_ours_is_exported_from_its_store(capsys, folder):
    store = make_store(folder, PrepareSettings(codes=2, codebook=4))
    network = rich_network(store, n_users=400)
    words = words_of(ours(folder, make_fit(store, network, RICH), store), rows=None)
    assert run(capsys, *words, "--export", folder / "serving")[0] == 0
    np.testing.assert_allclose(
        exported_scores(folder), directly(network, folder / "test.parquet"), rtol=0, atol=1e-5
    )


def test_latency_of_a_checkpoint_is_a_table(capsys, folder, qin, monkeypatch):
    monkeypatch.setattr(latency, "REQUESTS", latency.TIMED)
    monkeypatch.setattr(latency, "CANDIDATES", (1, 3))
    monkeypatch.setattr(latency, "has_bf16", lambda device: False)
    words = words_of(qin[0], rows=None, history=2)
    code, said, _ = run(capsys, *words, "--latency")
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "90_score one CPU thread, random requests"
    assert lines[1] == latency.HEAD
    want = [f"| {qin[0][1]} | {n} | 2 | {way} |" for n in (1, 3) for way in WAYS]
    assert [line[: len(start)] for line, start in zip(lines[3:9], want, strict=True)] == want
    assert lines[9].startswith("90_score --latency (")


WAYS = ("network", "folded", "exported")
CHECKPOINT = ("--checkpoint", "c", "--format", "ours", "--items", "i")


@pytest.mark.parametrize(
    ("words", "said"),
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
def test_words_that_do_not_go_together_are_refused(capsys, words, said):
    code, _, error = run(capsys, *words)
    assert code == 2
    assert error.startswith("error: ")
    assert said in error


BLACKBOXES = sorted(path.parent for path in FIXTURES.rglob("hyperparameters.json"))


@marks[0]
@marks[1]
@pytest.mark.parametrize("box", BLACKBOXES, ids=lambda box: box.name)
def test_published_scores_come_out(capsys, tmp_path, box):
    (model,) = box.glob("*.model")
    words = ["--checkpoint", model, "--format", "fuxictr", "--rows", box / "test.parquet"]
    words += ["--settings", box / "hyperparameters.json", "--items", box / "item_info.parquet"]
    assert run(capsys, *words, "--out", tmp_path / "p.parquet")[0] == 0
    scored, expected = (
        pl.read_parquet(path) for path in (tmp_path / "p.parquet", box / "expected.parquet")
    )
    assert scored["ID"].equals(expected["ID"])
    assert (scored["probability"] - expected["probability"]).abs().max() < 1e-5
