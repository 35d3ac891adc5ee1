"""Whether the device computes what the CPU computes, and the same thing every time.

    networks    logits, gradients and the weights after two steps, against float64 on the CPU
    operators   the exact AUC against scikit-learn, ragged attention against loops over its entries,
                and the batches of rows on the device, on the host and on disk against each other
    repeat      a fit twice, and one that was stopped and resumed: the same bytes, or how far apart

Distances are ||x - y|| / ||y||. A distance may be twice that of the CPU's own float32, within the
bounds of TOLERANCES: what is wrong on both devices does not pass. After the steps, it is the share
of the weights that moved differently, by more than 1 % of the learning rate: Adam divides a
gradient by its own size, so that rounding alone turns the steps of weights whose gradient is 0,
such as a bias before batch norm.
"""

import copy
import io
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bench.gpu.batches import batches_everywhere
from bench.gpu.scale import NETWORKS, Scale, without_dropout
from bench.tools import challenge_like
from cv.auc import auc
from models.batches.rows import Rows
from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.fields.settings import FieldSettings
from models.layers import ragged
from models.layers.ragged import History
from models.network import Network
from models.settings import NetworkSettings
from models.training.determinism import make_deterministic
from models.training.fit import fit, train_step
from models.training.losses import loss

TOLERANCES = {"logits": (1e-5, 1e-4), "gradients": (1e-4, 1e-3), "steps": (1e-4, 1e-2)}
NEAR = 1e-5  # the distance of an operator in float32, at most
ROWS, ITEMS = 512, 5000  # of a compared batch
LAST = 2  # positions that transformer_dcn passes on: with 16 it has 268 million parameters
TIED = 1000  # distinct scores of an AUC


def distance(x: Tensor, y: Tensor) -> float:
    """||x - y|| / ||y|| in float64 on the CPU."""
    x, y = x.detach().double().cpu(), y.detach().double().cpu()
    return float((x - y).norm() / y.norm().clamp(min=1e-300))


def largest_distance(found: Iterable[Tensor], exact: Iterable[Tensor]) -> float:
    """Of a list of tensors from another; NaN where one of them is NaN, which max() would lose."""
    return float(np.max([distance(x, y) for x, y in zip(found, exact, strict=True)]))


def moved_otherwise(x: Tensor, y: Tensor) -> float:
    """The share of steps x (P,) that are not within 0.01 of y (P,)."""
    near = (x.double().cpu() - y.double().cpu()).abs() <= 0.01  # NaN is not
    return float((~near).double().mean())


def networks(scale: Scale) -> Iterator[dict]:
    """Every network in float32 on the CPU and on the device, against float64 on the CPU."""
    make_deterministic(scale.torch_device)
    scale = replace(scale, items=min(scale.items, ITEMS))  # the CPU takes long over larger tables
    for name in (*NETWORKS, "transformer_dcn"):
        cfg = without_dropout(scale.settings(name, precision="float32"))
        last = min(LAST, cfg.transformer.last)
        cfg = replace(cfg, transformer=replace(cfg.transformer, last=last))
        rows, label = challenge_like.rows(min(ROWS, scale.rows), cfg.max_len, scale.items)
        network = replace(scale, device="cpu").network(cfg)
        yield from compared(name, network, rows, label, cfg, scale.torch_device)


def compared(
    name: str,
    network: Network | FieldNetwork,
    rows: Rows | FieldRows,
    label: Tensor,
    cfg: NetworkSettings | FieldSettings,
    device: torch.device,
) -> Iterator[dict]:
    """A row for each of TOLERANCES: two steps in float32 there and here, against float64 here."""
    with torch.no_grad():  # embeddings of 1e-4 would hide what happens to them
        for table in network.embedding_tables():
            table.mul_(100)
    cpu = torch.device("cpu")
    exact = two_steps(network, rows, label, cfg, cpu, torch.float64)
    on_cpu = two_steps(network, rows, label, cfg, cpu, torch.float32)
    found = two_steps(network, rows, label, cfg, device, torch.float32)
    for what, (least, most) in TOLERANCES.items():
        far = moved_otherwise if what == "steps" else distance
        error, own = (far(x[what], exact[what]) for x in (found, on_cpu))
        tolerance = min(max(least, 2 * own), most)
        yield {
            "network": name, "float32": what, "distance": error, "the CPU's": own,
            "tolerance": tolerance, "ok": error <= tolerance,
        }  # fmt: skip


def two_steps(
    network: Network | FieldNetwork,
    rows: Rows | FieldRows,
    label: Tensor,
    cfg: NetworkSettings | FieldSettings,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """Logits and gradients of the first step, and how far two steps moved each weight, in learning
    rates."""
    network = copy.deepcopy(network).to(device, dtype).train()
    before = flat(p.detach().clone() for p in network.parameters())
    rows, label = rows.to(device), label.to(device, dtype)
    optimiser = torch.optim.Adam(network.parameters(), lr=cfg.fit.learning_rate, fused=True)
    found = {}
    for step in range(2):
        batch = rows.batch(torch.arange(len(rows), device=device))
        if not step:
            with torch.no_grad():
                found["logits"] = copy.deepcopy(network)(batch)
            loss(network, batch, label, cfg.fit).backward()
            found["gradients"] = flat(p.grad for p in network.parameters())
        train_step(network, batch, label, optimiser, cfg.fit)
    moved = flat(network.parameters()) - before
    return found | {"steps": moved / cfg.fit.learning_rate}


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """A copy of all tensors as one (P,)."""
    return torch.cat([t.detach().flatten().clone() for t in tensors])


def operators(scale: Scale) -> Iterator[dict]:
    """Checks of what the networks and the scores are built from."""
    yield {"check": "AUC, tied scores, against scikit-learn", **auc_against_sklearn(scale)}
    for name, error in ragged_against_loops(scale.torch_device).items():
        yield {"check": f"ragged.{name} against loops", "distance": error, "ok": error < NEAR}
    for name, same in batches_everywhere(scale).items():
        yield {"check": f"batches of rows {name}", "distance": 0.0 if same else 1.0, "ok": same}


def auc_against_sklearn(scale: Scale) -> dict:
    """Of as many rows as an epoch has; on the CPU, it must be the same number."""
    from sklearn.metrics import roc_auc_score

    g = torch.Generator().manual_seed(0)
    label = torch.randint(0, 2, (scale.rows,), generator=g)
    score = ((label + 2 * torch.randn(scale.rows, generator=g)) * TIED / 10).round() / TIED
    ours = auc(label.to(scale.torch_device), score.to(scale.torch_device))
    error = abs(ours - roc_auc_score(label.numpy(), score.numpy()))
    return {"distance": error, "ok": error < 1e-12 and ours == auc(label, score)}


def ragged_against_loops(device: torch.device) -> dict[str, float]:
    """The largest distance of the outputs and gradients of each operator in float32, or NaN."""
    g = torch.Generator().manual_seed(0)
    length = torch.randint(0, 9, (200,), generator=g)
    length[7] = 0
    offsets = torch.zeros(201, dtype=torch.int64)
    torch.cumsum(length, 0, out=offsets[1:])
    row = torch.repeat_interleave(length)
    position = torch.randint(0, 50, (len(row),), generator=g)
    history = History(position, row, offsets)
    x, items, weight = (torch.randn(s, generator=g) for s in ((200, 24), (50, 24), (len(row),)))
    there = History(*(t.to(device) for t in (position, row, offsets)))
    cases = {
        "dot": (lambda a, b, h: ragged.dot(a, b, h), loop_dot, (x, items)),
        "pool": (lambda w, b, h: ragged.pool(w, b, h), loop_pool, (weight, items)),
        "softmax": (lambda w, h: ragged.softmax(w, h), loop_softmax, (weight,)),
        "of_rows": (lambda a, h: ragged.of_rows(a, h), lambda a, h: a[h.row], (x,)),
        "of_items": (lambda b, h: ragged.of_items(b, h), lambda b, h: b[h.position], (items,)),
    }
    errors = {}
    for name, (ours, loops, inputs) in cases.items():
        a = values_and_gradients(ours, [t.to(device) for t in inputs], there)
        b = values_and_gradients(loops, [t.double() for t in inputs], history)
        errors[name] = largest_distance(a, b)
    return errors


def values_and_gradients(function, inputs: list[Tensor], history: History) -> list[Tensor]:
    """`function(*inputs, history)`, and the gradients of its random weighted sum."""
    inputs = [t.clone().requires_grad_() for t in inputs]
    value = function(*inputs, history)
    slope = torch.randn(value.shape, generator=torch.Generator().manual_seed(1)).to(value)
    return [value, *torch.autograd.grad((value * slope).sum(), inputs)]


def loop_dot(query: Tensor, items: Tensor, history: History) -> Tensor:
    pairs = zip(history.row, history.position, strict=True)
    return torch.stack([(query[r] * items[p]).sum() for r, p in pairs])


def loop_pool(weight: Tensor, items: Tensor, history: History) -> Tensor:
    rows = [items.new_zeros(items.shape[1]) for _ in range(len(history.offsets) - 1)]
    for e, (r, p) in enumerate(zip(history.row.tolist(), history.position, strict=True)):
        rows[r] = rows[r] + weight[e] * items[p]
    return torch.stack(rows)


def loop_softmax(score: Tensor, history: History) -> Tensor:
    return torch.cat([s.softmax(0) for s in score.split(history.offsets.diff().tolist())])


def repeat(scale: Scale) -> Iterator[dict]:
    """A fit of each network twice, and once more stopped after its first epoch and resumed."""
    make_deterministic(scale.torch_device)
    for name in NETWORKS:
        cfg = scale.settings(name, max_epochs=3, patience=9)
        rows, label = scale.draw(cfg.max_len, min(scale.rows, 20 * scale.batch))
        first, losses, saved = short_fit(scale, cfg, rows, label)
        again = short_fit(scale, cfg, rows, label)
        resumed = short_fit(scale, cfg, rows, label, saved)
        for what, other in (("again", again), ("resumed after one epoch", resumed)):
            same = torch.equal(first, other[0]) and losses == other[1]
            yield {
                "network": name,
                "fit": what,
                "same bytes": same,
                "distance of logits": distance(other[0], first),
                "ok": same,
            }


def short_fit(
    scale: Scale, cfg: NetworkSettings, rows: Rows, label: Tensor, state: bytes | None = None
) -> tuple[Tensor, list[float], bytes]:
    """Held-out logits of the best epoch, the loss of every epoch, and the state after the first one
    as a file would hold it."""
    saved: list[bytes] = []

    def save(make) -> None:
        if not saved:
            buffer = io.BytesIO()
            torch.save(make(), buffer)
            saved.append(buffer.getvalue())

    network = scale.network(cfg)
    held = rows.take(torch.arange(2 * scale.batch, device=rows.device))
    report = fit(
        network, rows, label, held, label[: 2 * scale.batch], cfg.fit, seed=0, score=auc, save=save,
        state=state and torch.load(io.BytesIO(state), "cpu", weights_only=True),
    )  # fmt: skip
    return report.held_logits, [record["loss"] for record in report.epochs], saved[0]
