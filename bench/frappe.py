"""Frappe_x1: FINAL's published numbers, and FINAL's block in the place of four networks' MLPs.

reads   DATA/{train,valid,test}.csv or .csv.gz: label, then categorical fields as whole numbers
writes  OUT/<network>-seed<s>-<hash>/artifact.json a fit: its scores and learning curve
run     python -m bench.frappe --data ../shared/data/frappe_x1 [--seeds 2021,2022,2023]
        [--rows final_1b,dcn,...] [--out artifacts/bench/frappe] [--workers 2] [--max-epochs 5]

Each row's settings are bench/frappe/<row>.toml. A fit stops on the AUC of valid; test is scored
once, with the weights of valid's best epoch. Running again resumes: the hash is of the row's
settings, the seed, the data files' bytes and the code that a fit runs through.
"""

import argparse
import dataclasses
import gzip
import hashlib
import inspect
import itertools
import os
import statistics
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import joblib
import polars as pl
import torch
from torch import Tensor

from bench.tables import spread
from cv.auc import auc
from features.errors import InputError
from features.store.hashing import sha256
from models import fields
from models.fields import FieldNetwork, FieldRows, FieldSettings
from models.layers import compressed_interaction as cin
from models.layers import factorization_machine as fm
from models.layers import final, mlp, precision
from models.network import initialise
from models.training import fit, losses
from pipeline.artifacts import spec, store
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.paths import REPOSITORY
from pipeline.config.schema import build, near
from pipeline.runtime import cli

SPLITS = ("train", "valid", "test")
BACKBONES = {"mlp": "MLP", "deepfm": "DeepFM", "xdeepfm": "xDeepFM", "dcn": "DCN"}
ROWS = ("final_1b", "final_2b", *(f"{b}{end}" for b in BACKBONES for end in ("", "_final")))
CODE = (fields, fm, cin, final, mlp, losses, precision, fit, initialise)
MD5 = {  # of the published files, unpacked
    "train": "ba7306e6c4fc19dd2cd84f2f0596d158",
    "valid": "88d51bf2173505436d3a8f78f2a59da8",
    "test": "3470f6d32713dc5f7715f198ca7c612a",
}


@dataclass(frozen=True, slots=True)
class Published:
    """Test scores as printed by the authors (README table, run logs); None where they are not."""

    auc: float | None = None
    log_loss: float | None = None
    parameters: int | None = None


PUBLISHED = {
    "final_1b": Published(0.985223, 0.136554, 256_791),
    "final_2b": Published(0.985744, 0.131070, 338_502),
    "dcn": Published(0.9839),
}


@dataclass(frozen=True, slots=True)
class Frappe:
    """The three splits, encoded by what train holds.

    Shapes: rows[split] (N, F); label[split] (N,) float32; sizes: F vocabulary sizes
    """

    rows: dict[str, FieldRows]
    label: dict[str, Tensor]
    sizes: list[int]


def read(files: dict[str, Path]) -> Frappe:
    """The splits of `files`. Raises InputError for what is no table of labels and whole numbers."""
    tables = {split: _table(path) for split, path in files.items()}
    header = tables["train"].columns
    for split, table in tables.items():
        if table.columns != header:
            raise InputError(
                f"{files[split]}: got the columns {','.join(table.columns)}, expected those of"
                f" {files['train'].name}: {','.join(header)}"
            )
    values = {s: torch.tensor(t.drop("label").to_numpy().copy()) for s, t in tables.items()}
    known = [torch.unique(column) for column in values["train"].unbind(1)]
    rows = {split: FieldRows(fields.encode(v, known)) for split, v in values.items()}
    label = {s: torch.tensor(t["label"].to_numpy().copy()).float() for s, t in tables.items()}
    return Frappe(rows, label, [len(seen) + 2 for seen in known])


def _table(path: Path) -> pl.DataFrame:
    try:
        text = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a csv table: {str(error).splitlines()[0]}") from None
    if "label" not in text.columns or text.width < 2:
        raise InputError(
            f"{path}: got the columns {','.join(text.columns)}, expected label and the fields"
        )
    numbers = text.with_columns(pl.all().str.strip_chars().cast(pl.Int64, strict=False))
    for column in numbers:
        wrong = column.is_null() | (column < 0)
        if column.name == "label":
            wrong |= column > 1
        if wrong.any():
            line = wrong.arg_max()
            expected = "0 or 1" if column.name == "label" else "a whole number, 0 or more"
            raise InputError(
                f"{path}: line {line + 2}, {column.name}: got {text[column.name][line]!r},"
                f" expected {expected}"
            )
    if numbers["label"].n_unique() != 2:
        raise InputError(f"{path}: expected rows of both labels, 0 and 1; got {len(numbers)} rows")
    return numbers


def find(folder: Path) -> dict[str, Path]:
    """The file of each split in `folder`; the unpacked one where both are there."""
    found = {}
    for split in SPLITS:
        names = (f"{split}.csv", f"{split}.csv.gz")
        paths = [folder / name for name in names if (folder / name).is_file()]
        if not paths:
            raise InputError(
                f"{folder}: holds neither {names[0]} nor {names[1]}; --data must be a folder with"
                " Frappe_x1's train, valid and test"
            )
        found[split] = paths[0]
    return found


def settings(row: str, max_epochs: int | None = None) -> FieldSettings:
    """The settings of bench/frappe/<row>.toml, ended after `max_epochs` where that is given."""
    path = REPOSITORY / "bench" / "frappe" / f"{row}.toml"
    return parse(path.read_text(encoding="utf-8"), path.name, max_epochs)


def parse(text: str, name: str, max_epochs: int | None = None) -> FieldSettings:
    """`text` as settings. Raises InputError that lists every problem, unread settings too."""
    problems: list[str] = []
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: not TOML: {error}") from None
    made = build(FieldSettings, raw, "", problems)
    if made is not None:
        problems += [f"{key!r} is of a part that this row lacks" for key in made.unread & {*raw}]
    if problems:
        raise InputError(f"{name}: {'; '.join(problems)}")
    if max_epochs is None:
        return made
    return dataclasses.replace(made, fit=dataclasses.replace(made.fit, max_epochs=max_epochs))


def place(s: FieldSettings, seed: int, files: dict[str, Path], out: Path) -> ArtifactSpec:
    """Where one fit lies; rows of equal settings share it."""
    given = {k: v for k, v in dataclasses.asdict(s).items() if k not in s.unread}
    inputs = {split: sha256(path) for split, path in files.items()}
    parts = (*CODE, read, train, log_loss, auc)
    code = hashlib.sha256("".join(map(inspect.getsource, parts)).encode()).hexdigest()
    name = f"{s.explicit}-{s.deep}-seed{seed}"
    return ArtifactSpec("bench.frappe", name, out, given | {"seed": seed}, inputs | {"code": code})


def run(
    s: FieldSettings, seed: int, files: dict[str, Path], where: ArtifactSpec, what: str
) -> None:
    """Train, score and publish one fit, with one thread: results do not depend on the cores."""
    torch.set_num_threads(1)
    data = read(files)
    with store.write_artifact(where) as out:
        try:
            out.report = train(s, seed, data, what)
        except FloatingPointError as error:
            raise InputError(f"{what}: {error}; lower fit.learning_rate in its TOML") from None


def train(s: FieldSettings, seed: int, data: Frappe, what: str) -> dict:
    """What one fit reports: its scores, its curve, its size. Prints a line an epoch."""
    torch.manual_seed(seed)
    network = FieldNetwork(s, data.sizes)
    rows, label = data.rows, data.label
    report = fit.fit(
        network, rows["train"], label["train"], rows["valid"], label["valid"], s.fit,
        seed=seed, score=_talking(what, len(rows["train"])),
    )  # fmt: skip
    test = fit.predict(network, rows["test"])
    if not torch.isfinite(test).all():
        raise FloatingPointError("logits of test are not finite")
    return {
        "auc": auc(label["test"], test),
        "log_loss": log_loss(label["test"], test),
        "valid_auc": report.best_score,
        "valid_log_loss": log_loss(label["valid"], report.held_logits),
        "best_epoch": report.best_epoch,
        "epochs": report.epochs,
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _talking(what: str, n_rows: int) -> Callable[[Tensor, Tensor], float]:
    """The AUC, said with the epoch's number and speed (judging included)."""
    epochs, started = itertools.count(1), [time.perf_counter()]

    def score(label: Tensor, logits: Tensor) -> float:
        reached, now = auc(label, logits), time.perf_counter()
        print(
            f"{what} epoch {next(epochs)}: valid auc {reached:.6f},"
            f" log loss {log_loss(label, logits):.6f}, {n_rows / (now - started[0]):,.0f} rows/s",
            flush=True,
        )
        started[0] = time.perf_counter()
        return reached

    return score


def log_loss(label: Tensor, logits: Tensor) -> float:
    """Mean of -log p(label) in float64, p kept from 0 and 1 by one float64 epsilon.

    Shapes: label (N,) 0 or 1, logits (N,)
    """
    epsilon = torch.finfo(torch.float64).eps
    p = logits.double().sigmoid().clamp(epsilon, 1 - epsilon)
    return -torch.where(label > 0.5, p.log(), (1 - p).log()).mean().item()


def table(found: dict[str, list[dict]], seeds: list[int]) -> str:
    """Published beside measured, a line a row; `found`: a row's reports, in the order of seeds."""
    lines = [
        f"test scores, mean ± sd over seeds {', '.join(map(str, seeds))}; – not published",
        "",
        "| row | parameters, published | ours | AUC, published | measured"
        " | log loss, published | measured | epochs (best) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, reports in found.items():
        known = PUBLISHED.get(row, Published())
        cells = [row, _cell(known.parameters, ",d"), f"{reports[0]['parameters']:,d}"]
        for key in ("auc", "log_loss"):
            cells.append(_cell(getattr(known, key), ".6f" if row != "dcn" else ".4f"))
            cells.append(spread([r[key] for r in reports], 6))
        cells.append(", ".join(f"{len(r['epochs'])} ({r['best_epoch']})" for r in reports))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(found: dict[str, list[dict]]) -> str:
    """Does a backbone gain from the FINAL block? Differences seed by seed, for the pairs found."""
    lines = ["| FINAL block - MLP, on | test AUC | test log loss |", "| --- | --- | --- |"]
    verdicts = []
    for row, name in BACKBONES.items():
        if not {row, f"{row}_final"} <= found.keys():
            continue
        pairs = list(zip(found[row], found[f"{row}_final"], strict=True))
        gain = {key: [b[key] - a[key] for a, b in pairs] for key in ("auc", "log_loss")}
        lines.append(
            f"| {name} | {spread(gain['auc'], 6, '+')} | {spread(gain['log_loss'], 6, '+')} |"
        )
        verdicts.append(statistics.mean(gain["auc"]) > 0)
    if not verdicts:
        return ""
    lines += ["", f"backbones whose mean AUC gains: {sum(verdicts)} of {len(verdicts)}"]
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def strangers(files: dict[str, Path]) -> list[str]:
    """The splits whose unpacked bytes are not the published ones."""
    return [split for split, path in files.items() if _md5(path) != MD5[split]]


def _md5(path: Path) -> str:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def work(a: argparse.Namespace) -> None:
    rows, seeds = _chosen(a.rows), _seeds(a.seeds)
    for name, value in (("--workers", a.workers), ("--max-epochs", a.max_epochs)):
        if value is not None and value < 1:
            raise InputError(f"{name} = {value} must be at least 1")
    chosen, files = {row: settings(row, a.max_epochs) for row in rows}, find(a.data)
    read(files)  # bad input is said before a fit begins
    places = {(row, seed): place(chosen[row], seed, files, a.out) for row in rows for seed in seeds}
    first = {at.path: key for key, at in reversed(places.items())}  # rows may share a fit
    todo = [key for key, at in places.items() if not at.done and first[at.path] == key]
    print(f"bench.frappe {len(places)} scores, {len(todo)} fits to do, {a.workers} at a time")
    tasks = (
        joblib.delayed(run)(chosen[row], seed, files, places[row, seed], f"{row} seed {seed}")
        for row, seed in todo
    )
    joblib.Parallel(n_jobs=a.workers)(tasks)
    reports = {key: spec.record(at.path)["report"] for key, at in places.items()}
    found = {row: [reports[row, seed] for seed in seeds] for row in rows}
    notes = [f"{split} is not the published file, by its md5" for split in strangers(files)]
    if a.max_epochs is not None:
        notes.append(f"fits ended after {a.max_epochs} epochs at the latest")
    print("", *notes, table(found, seeds), "", gains(found), sep="\n", flush=True)


def _chosen(words: str) -> list[str]:
    rows = list(dict.fromkeys(words.split(",")))
    problems = [f"{row!r}{near(row, list(ROWS))}" for row in rows if row not in ROWS]
    if problems:
        raise InputError(f"--rows: unknown {', '.join(problems)}; known: {', '.join(ROWS)}")
    return rows


def _seeds(words: str) -> list[int]:
    given = [int(word) if word.strip().isdecimal() else -1 for word in words.split(",")]
    if not all(0 <= seed < 2**63 for seed in given):
        raise InputError(f"--seeds: got {words!r}, expected numbers such as 2021,2022")
    return list(dict.fromkeys(given))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the three files")
    parser.add_argument("--seeds", default="2021,2022,2023")
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated; all by default")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench/frappe"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="fits at a time")
    parser.add_argument("--max-epochs", type=int, help="end fits early: a trial, named as such")
    arguments = parser.parse_args(argv)
    return cli.exit_code(lambda: work(arguments))


if __name__ == "__main__":
    sys.exit(main())
