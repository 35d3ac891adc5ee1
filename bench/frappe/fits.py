"""One fit on Frappe_x1: its settings, its artifact, its scores."""

import dataclasses
import hashlib
import inspect
import itertools
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.frappe.data import Frappe, read
from cv.auc import auc
from features.errors import InputError
from features.store.hashing import sha256
from models import fields
from models.fields import FieldNetwork, FieldSettings
from models.layers import compressed_interaction as cin
from models.layers import factorization_machine as fm
from models.layers import final, mlp, precision
from models.network import initialise
from models.training import fit, losses
from pipeline.artifacts import store
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.paths import REPOSITORY
from pipeline.config.schema import build

CODE = (fields, fm, cin, final, mlp, losses, precision, fit, initialise)


def row_settings(row: str, max_epochs: int | None = None) -> FieldSettings:
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


def fit_spec(s: FieldSettings, seed: int, files: dict[str, Path], out: Path) -> ArtifactSpec:
    """The artifact of one fit; rows with equal settings share it."""
    settings = {k: v for k, v in dataclasses.asdict(s).items() if k not in s.unread}
    inputs = {split: sha256(path) for split, path in files.items()}
    parts = (*CODE, read, train, log_loss, auc)
    code = hashlib.sha256("".join(map(inspect.getsource, parts)).encode()).hexdigest()
    name = f"{s.explicit}-{s.deep}-seed{seed}"
    return ArtifactSpec(
        "bench.frappe", name, out, settings | {"seed": seed}, inputs | {"code": code}
    )


def run(s: FieldSettings, seed: int, files: dict[str, Path], spec: ArtifactSpec, name: str) -> None:
    """Train, score and publish one fit, with one thread: results do not depend on the cores."""
    torch.set_num_threads(1)
    data = read(files)
    with store.write_artifact(spec) as out:
        try:
            out.report = train(s, seed, data, name)
        except FloatingPointError as error:
            raise InputError(f"{name}: {error}; lower fit.learning_rate in its TOML") from None


def train(s: FieldSettings, seed: int, data: Frappe, name: str) -> dict:
    """The report of one fit: its scores, its curve, its size. Prints one line per epoch."""
    torch.manual_seed(seed)
    network = FieldNetwork(s, data.sizes)
    rows, label = data.rows, data.label
    report = fit.fit(
        network, rows["train"], label["train"], rows["valid"], label["valid"], s.fit,
        seed=seed, score=_printing_score(name, len(rows["train"])),
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


def _printing_score(name: str, n_rows: int) -> Callable[[Tensor, Tensor], float]:
    """A score function: the AUC, printed with the epoch's number and speed (scoring included)."""
    epochs, started = itertools.count(1), [time.perf_counter()]

    def score(label: Tensor, logits: Tensor) -> float:
        reached, now = auc(label, logits), time.perf_counter()
        print(
            f"{name} epoch {next(epochs)}: valid auc {reached:.6f},"
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
