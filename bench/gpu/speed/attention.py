"""QIN's score, ReLU and sum alone: ragged dot and pool beside the fused kernels.

One batch of generated rows, random queries and items. The distance is the largest ||x - y|| / ||y||
over the sum and its gradients, y being ragged attention in float64; `same bits` compares two calls.
bench.gpu.speed.variants has the factor of a whole training step.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from bench.gpu.correctness import NEAR, largest_distance
from bench.gpu.scale import Scale
from models.layers import ragged
from models.layers.ragged import History
from models.training.determinism import make_deterministic

Attend = Callable[[Tensor, Tensor, History], Tensor]
CALLS, ROUNDS = 20, 5
BLOCKS = ((4, 4, 32), (4, 1, 32), (4, 2, 32), (8, 4, 32), (4, 4, 128))  # entries, warps, chunk


def attention(scale: Scale) -> Iterator[dict]:
    """A row for each form; on a CPU for the ragged one alone."""
    make_deterministic(scale.torch_device)
    cfg = scale.settings("qin")
    rows, _ = scale.draw(cfg.max_len, scale.batch)
    batch = rows.batch(torch.arange(scale.batch, device=rows.device))
    width = scale.network(cfg).interest.width
    torch.manual_seed(0)
    sizes = scale.batch, len(batch.items), scale.batch
    query, items, grad = (torch.randn(n, width, device=rows.device) for n in sizes)
    exact = gradients(unfused, query.double(), items.double(), batch.history, grad.double())
    base = None
    for form, attend in forms(scale).items():
        both = partial(gradients, attend, query, items, batch.history, grad)
        found, again = both(), both()
        distance = largest_distance(found, exact)
        same = all(map(torch.equal, found, again))
        forward = milliseconds(scale, partial(attend, query, items, batch.history))
        step = milliseconds(scale, both)
        base = base or step
        yield {
            "form": form,
            "rows": scale.batch,
            "entries": len(batch.history.position),
            "items": len(batch.items),
            "forward, ms": forward,
            "forward and backward, ms": step,
            "factor": round(base / step, 2),
            "distance": distance,
            "same bits": same,
            "ok": distance < NEAR and same,
        }


def forms(scale: Scale) -> dict[str, Attend]:
    """What is measured, by name."""
    found: dict[str, Attend] = {"ragged dot, ReLU and pool": unfused}
    if scale.on_gpu:
        from bench.gpu.speed import triton_attention

        for entries, warps, chunk in BLOCKS:
            blocks = triton_attention.Blocks(entries, warps, chunk)
            name = f"fused: {entries} entries, {warps} warps, chunks of {chunk}"
            found[name] = partial(triton_attention.attend, blocks=blocks)
    return found


def unfused(query: Tensor, items: Tensor, history: History) -> Tensor:
    return ragged.pool(torch.relu(ragged.dot(query, items, history)), items, history)


def gradients(
    attend: Attend, query: Tensor, items: Tensor, history: History, grad: Tensor
) -> tuple[Tensor, ...]:
    """The sum (B, D) and the gradients of query (B, D) and items (U, D)."""
    leaves = [query.detach().requires_grad_(), items.detach().requires_grad_()]
    pooled = attend(*leaves, replace(history))  # without its entries sorted by item
    return pooled.detach(), *torch.autograd.grad(pooled, leaves, grad)


def milliseconds(scale: Scale, call: Callable[[], object]) -> float:
    """Median over ROUNDS of the time of a call among CALLS, which the device takes one by one."""

    def calls() -> None:
        for _ in range(CALLS):
            call()

    call()
    return 1e3 / CALLS * statistics.median(scale.seconds(calls) for _ in range(ROUNDS))
