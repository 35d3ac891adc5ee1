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
from models.layers import mlp, precision
from models.layers.final import block, distillation, gate, paper, published
from models.layers.final import network as final
from models.network import initialise
from models.training import fit, losses
from pipeline.artifacts import store
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config.paths import REPOSITORY
from pipeline.config.schema import build
from pipeline.config.tables import flat

FINAL = (block, distillation, final, gate, paper, published)
CODE = (fields, fm, cin, *FINAL, mlp, losses, precision, fit, initialise)


def row_settings(row: str, max_epochs: int | None = None) -> FieldSettings:
    """The settings of bench/frappe/<row>.toml; `max_epochs` replaces those of the file."""
    path = REPOSITORY / "bench" / "frappe" / f"{row}.toml"
    return parse(path.read_text(encoding="utf-8"), path.name, max_epochs)


def parse(text: str, name: str, max_epochs: int | None = None) -> FieldSettings:
    """`text` as settings. Raises InputError that lists every problem, also unread settings."""
    problems: list[str] = []
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: not TOML: {error}") from None
    cfg = build(FieldSettings, raw, "", problems)
    if cfg is not None:
        problems += [
            f"{key!r} is read by no part that this row has"
            for key in sorted(cfg.unread & {*raw, *flat(raw)})
        ]
    if problems:
        raise InputError(f"{name}: {'; '.join(problems)}")
    if max_epochs is None:
        return cfg
    return dataclasses.replace(cfg, fit=dataclasses.replace(cfg.fit, max_epochs=max_epochs))


def fit_spec(cfg: FieldSettings, seed: int, files: dict[str, Path], out: Path) -> ArtifactSpec:
    """The artifact of one fit; rows with equal settings share it."""
    settings = {k: v for k, v in flat(dataclasses.asdict(cfg)).items() if cfg.reads(k)}
    inputs = {split: sha256(path) for split, path in files.items()}
    parts = (*CODE, read, train, log_loss, auc)
    code = hashlib.sha256("".join(map(inspect.getsource, parts)).encode()).hexdigest()
    name = f"{cfg.explicit}-{cfg.deep}-seed{seed}"
    return ArtifactSpec(
        "bench.frappe", name, out, settings | {"seed": seed}, inputs | {"code": code}
    )


def run(
    cfg: FieldSettings, seed: int, files: dict[str, Path], spec: ArtifactSpec, name: str
) -> None:
    """Train, score and write one fit, in one thread: results do not depend on the cores."""
    torch.set_num_threads(1)
    data = read(files)
    with store.write_artifact(spec) as out:
        try:
            out.report = train(cfg, seed, data, name)
        except FloatingPointError as error:
            raise InputError(f"{name}: {error}; lower fit.learning_rate in its TOML") from None


def train(cfg: FieldSettings, seed: int, data: Frappe, name: str) -> dict:
    """The report of one fit: scores, learning curve, parameters. Prints one line per epoch."""
    torch.manual_seed(seed)
    network = FieldNetwork(cfg, data.sizes)
    rows, label = data.rows, data.label
    report = fit.fit(
        network, rows["train"], label["train"], rows["valid"], label["valid"], cfg.fit,
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
    """A score function that prints the AUC, the epoch's number and its speed (with scoring)."""
    epochs, started = itertools.count(1), [time.perf_counter()]

    def score(label: Tensor, logits: Tensor) -> float:
        valid_auc, now = auc(label, logits), time.perf_counter()
        print(
            f"{name} epoch {next(epochs)}: valid auc {valid_auc:.6f},"
            f" log loss {log_loss(label, logits):.6f}, {n_rows / (now - started[0]):,.0f} rows/s",
            flush=True,
        )
        started[0] = time.perf_counter()
        return valid_auc

    return score


def log_loss(label: Tensor, logits: Tensor) -> float:
    """Mean of -log p(label) in float64, with p clipped to [epsilon, 1 - epsilon] of float64.

    Shapes: label (N,) 0 or 1, logits (N,)
    """
    epsilon = torch.finfo(torch.float64).eps
    p = logits.double().sigmoid().clamp(epsilon, 1 - epsilon)
    return -torch.where(label > 0.5, p.log(), (1 - p).log()).mean().item()
