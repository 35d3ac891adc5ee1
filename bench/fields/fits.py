"""One fit: its artifact, its training, its scores."""

import dataclasses
import hashlib
import inspect
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.fields.data.store import FieldData, open_fields
from bench.fields.tables import Scores
from cv.auc import auc
from features.errors import InputError
from models.batches import plan
from models.fields import (
    attentional_fm,
    compressed_interaction,
    cross_network,
    factorization_machine,
    rows,
    sam,
    self_attention,
    table,
)
from models.fields import network as field_network
from models.fields.network import FieldNetwork
from models.fields.settings import FieldSettings
from models.layers import cross, dropout, mlp, precision
from models.layers.final import block, distillation, gate, paper, published
from models.layers.final import network as final
from models.network import initialise
from models.training import averaging, fit, large_tables, losses, update, warm_up
from models.training.determinism import make_deterministic
from pipeline.artifacts import store
from pipeline.artifacts.locks import locked
from pipeline.artifacts.spec import ArtifactSpec, record
from pipeline.config.tables import flat
from pipeline.runtime import processes
from pipeline.runtime.compute import prepare_training
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.training.checkpointing import FitCheckpointer

SAVE_EVERY = 60.0  # seconds, or longer, between two states from which a fit resumes
SECONDS_BETWEEN_LINES = 60.0  # within an epoch
LOGITS = "test_logits.npy"  # (N,) float32, in the order of the file
CODE = (  # of every network
    field_network, rows, table, plan, losses, precision, fit, update, large_tables, warm_up,
    averaging, initialise,
)  # fmt: skip
CODE_OF_PART = {
    "fm": (factorization_machine,),
    "afm": (attentional_fm, dropout),
    "cin": (compressed_interaction,),
    "cross": (cross_network,),
    "cross_v2": (cross_network, cross),
    "autoint": (self_attention, dropout),
    "sam": (sam, dropout),
    "mlp": (mlp, dropout),
    "final": (block, distillation, dropout, final, gate, paper, published),
}


def fit_spec(
    cfg: FieldSettings, seed: int, data: Path, out: Path, device_type: str = "cpu"
) -> ArtifactSpec:
    """The artifact of one fit on the store `data`; networks with equal settings share it.

    A GPU rounds otherwise than a CPU, so that its fits have artifacts of their own.
    """
    settings = {k: v for k, v in flat(dataclasses.asdict(cfg)).items() if cfg.reads(k)}
    inputs = {"data": record(data)["digest"]}
    if device_type != "cpu":
        inputs["device"] = device_type
    of_parts = (CODE_OF_PART.get(part, ()) for part in (cfg.explicit, cfg.deep))
    parts = (*CODE, *itertools.chain(*of_parts), train, log_loss, auc)
    code = hashlib.sha256("".join(map(inspect.getsource, parts)).encode()).hexdigest()
    name = "-".join(part for part in (cfg.explicit, cfg.deep) if part != "none") or "first_order"
    name = f"{name}-seed{seed}"
    return ArtifactSpec(
        "bench.fields", name, out, settings | {"seed": seed}, inputs | {"code": code}
    )


def run(
    cfg: FieldSettings,
    seed: int,
    data: Path,
    spec: ArtifactSpec,
    name: str,
    section: str,
    parent: int,
    device: str = "cpu",
) -> None:
    """Train, score and write one fit, on a GPU or in one thread: results do not depend on the
    number of cores.

    A fit that was stopped goes on after the last epoch that was saved. Another command's fit of
    the same name is waited for. A worker ends with process `parent`, which started it. `section` of
    a TOML is where the settings can be changed.
    """
    if os.getpid() != parent:
        processes.die_with_parent(parent)
    prepare_training(1)
    with locked(spec.lock, name):
        if not spec.done:
            _write(cfg, seed, data, spec, name, section, pick_device(device, "--device"))


def _write(
    cfg: FieldSettings,
    seed: int,
    data: Path,
    spec: ArtifactSpec,
    name: str,
    section: str,
    device: torch.device,
) -> None:
    make_deterministic(device)
    remedy = f"lower fit.batch_size in {section}, or take --device cpu"
    with store.write_artifact(spec) as out, enough_memory(device, name, remedy):
        opened = open_fields(data).to(device)
        checkpoint = FitCheckpointer(out, name, SAVE_EVERY, device)
        try:
            state = checkpoint.load()
            out.report, logits = train(cfg, seed, opened, name, state, checkpoint.save)
            np.save(out / LOGITS, logits.cpu().numpy(), allow_pickle=False)
        except FloatingPointError as error:
            raise InputError(f"{name}: {error}; lower fit.learning_rate in {section}") from None


def scores(paths: Sequence[Path]) -> Scores:
    """What the fits at `paths` left, one of each seed."""
    logits = np.stack([np.load(path / LOGITS, allow_pickle=False) for path in paths], axis=1)
    return Scores([record(path)["report"] for path in paths], logits)


def train(
    cfg: FieldSettings,
    seed: int,
    data: FieldData,
    name: str,
    state: dict | None = None,
    save: fit.SaveState = lambda state: None,
) -> tuple[dict, Tensor]:
    """The report of one fit (scores, learning curve, parameters) and its logits of test (N,), on
    the device of the rows.

    Prints one line per epoch, and one a minute within longer ones. It resumes from `state`;
    `save` is called after every epoch.
    """
    torch.manual_seed(seed)
    network = FieldNetwork(cfg, data.sizes, data.n_numeric).to(data.device)
    rows, label = data.rows, data.label
    report = fit.fit(
        network, rows["train"], label["train"], rows["valid"], label["valid"], cfg.fit,
        seed=seed, score=_printing_score(name, len(rows["train"]), state),
        progress=_reported(name), state=state, save=save,
    )  # fmt: skip
    test = fit.predict(network, rows["test"])
    if not torch.isfinite(test).all():
        raise FloatingPointError("logits of test are not finite")
    scored = {
        "auc": auc(label["test"], test),
        "log_loss": log_loss(label["test"], test),
        "valid_auc": report.best_score,
        "valid_log_loss": log_loss(label["valid"], report.held_logits),
        "best_epoch": report.best_epoch,
        "epochs": report.epochs,
        "parameters": sum(p.numel() for p in network.parameters()),
        "device": "CPU" if data.device.type == "cpu" else torch.cuda.get_device_name(data.device),
    }
    return scored, test


def _reported(name: str) -> fit.BatchProgress:
    """A hook of a fit that prints, in epochs of minutes, how far each is."""

    def batches(plan: Sequence[Tensor], epoch: str) -> Iterator[Tensor]:
        last, rows, started = time.perf_counter(), 0, time.perf_counter()
        for done, batch in enumerate(plan):
            if time.perf_counter() - last >= SECONDS_BETWEEN_LINES:
                last = time.perf_counter()
                speed = f"{rows / (last - started):,.0f} rows/s"
                print(f"{name} {epoch}: {done / len(plan):.0%}, {speed}", flush=True)
            rows += len(batch)
            yield batch

    return batches


def _printing_score(
    name: str, n_rows: int, state: dict | None
) -> Callable[[Tensor, Tensor], float]:
    """A score function that prints the AUC, the epoch's number and its speed (with scoring)."""
    done = len(state["report"]["epochs"]) if state else 0
    epochs, started = itertools.count(done + 1), [time.perf_counter()]

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
