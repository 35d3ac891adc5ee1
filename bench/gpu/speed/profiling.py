"""Where a training step spends the device's time, and the host's: the shares of kernel families."""

import functools
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from bench.gpu.scale import NETWORKS, Scale
from bench.gpu.speed.epochs import WARM, run_steps
from models.training.determinism import make_deterministic

FAMILIES = (  # the first whose pattern is found in a kernel's name
    ("products", r"gemm|gemv|cutlass|cublas|xmma|splitK|dot_kernel"),
    ("Adam, clipping, L2", r"multi_tensor|fused_adam|lpnorm"),
    ("bags and embeddings", r"[eE]mbedding|segment|krn_partial|grad_weight|sum_and_scatter"),
    ("sorting and batches", r"sort|[rR]adix|Merge|[sS]can|unique|search|select|nonzero|compact"),
    ("batch norm", r"batch_?norm|bn_|batchnorm"),
    ("dropout", r"dropout"),
    ("gather and scatter", r"index|gather|scatter"),
    ("reductions", r"reduce"),
    ("copies and fills", r"Mem(cpy|set)|[fF]ill|[cC]opy|Cat"),
    ("elementwise", r"elementwise|triton"),
)  # fmt: skip
STEPS = 10
WAIT = "called a synchronizing CUDA operation"  # as torch warns
RANGES = ("batch", "forward", "backward", "update")  # of models.training.fit, no kernels
TOP = 25


def kernels(scale: Scale) -> Iterator[dict]:
    """One row for each network and precision; the busiest kernels and calls go to stdout."""
    make_deterministic(scale.torch_device)
    for name in NETWORKS:
        for precision in scale.precisions[:2]:
            cfg = scale.settings(name, precision=precision)
            rows, label = scale.draw(cfg.max_len, scale.batch * STEPS)
            network = scale.network(cfg)
            optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
            steps = functools.partial(run_steps, network, rows, label, optimiser, cfg.fit)
            steps(WARM)
            wall = 1e3 * scale.seconds(steps) / STEPS
            with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
                steps()
                scale.wait()
            spent = device_times(profiled) if scale.on_gpu else {}
            print(f"\n{name} {precision}, a step on the device, then on the host")
            print("\n".join((*busiest_kernels(spent), *busiest_calls(profiled))), flush=True)
            waits = count_syncs(steps) if scale.on_gpu else None
            yield {
                "network": name,
                "precision": precision,
                "host waits": waits,
                "wall, ms": wall,
                "ok": not waits,
            } | shares(spent)


def count_syncs(steps: Callable[..., float]) -> int:
    """How often the host waits for the device between the second step and the last."""

    def around(batches: Iterable) -> Iterator:
        for n, batch in enumerate(batches):
            if n == 1:
                torch.cuda.set_sync_debug_mode("warn")
            yield batch
        torch.cuda.set_sync_debug_mode("default")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        steps(around=around)
    waits = [w for w in caught if WAIT in str(w.message)]
    for w in waits:
        print(f"the host waits in {w.filename}:{w.lineno}: {w.message}", flush=True)
    return len(waits)


def device_times(profiled: profile) -> dict[str, float]:
    """Microseconds of each kernel, copy and fill on the device, by name."""
    spent: dict[str, float] = defaultdict(float)
    for event in profiled.events():
        on_device = event.device_type == torch.autograd.DeviceType.CUDA
        if on_device and event.name not in RANGES and "#" not in event.name:
            spent[event.name] += event.device_time_total
    return spent


def busiest_kernels(spent: dict[str, float]) -> Iterator[str]:
    for kernel, us in sorted(spent.items(), key=lambda pair: -pair[1])[:TOP]:
        yield f"{us / sum(spent.values()):6.1%} {us / 1e3 / STEPS:7.3f} ms  {kernel[:150]}"


def busiest_calls(profiled: profile) -> Iterator[str]:
    """What keeps the host busy, without what it calls; the profiler itself slows it down."""
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    for event in events[:TOP]:
        ms, calls = event.self_cpu_time_total / 1e3 / STEPS, event.count / STEPS
        yield f"{ms:7.3f} ms {calls:6.1f} calls  {event.key[:100]}"


def shares(spent: dict[str, float]) -> dict[str, float | None]:
    """Milliseconds of kernels in a step, and the share of each family; None without a device."""
    total, by_family = sum(spent.values()), dict.fromkeys([*(f for f, _ in FAMILIES), "other"], 0.0)
    for kernel, us in spent.items():
        by_family[family(kernel)] += us
    if not total:
        return {"kernels, ms": None} | dict.fromkeys(by_family)
    parts = {name: round(us / total, 3) for name, us in by_family.items()}
    return {"kernels, ms": total / 1e3 / STEPS} | parts


def family(kernel: str) -> str:
    return next((name for name, pattern in FAMILIES if re.search(pattern, kernel)), "other")
