"""Where a training step spends the device's time: the share of each family of kernels."""

import re
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from bench.gpu.epochs import WARM, run_steps
from bench.gpu.scale import NETWORKS, Scale
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
TOP = 25


def kernels(scale: Scale) -> Iterator[dict]:
    """One row for each network and precision; the busiest kernels go to stdout."""
    make_deterministic(scale.torch_device)
    for name in NETWORKS:
        for precision in ("float32", "tf32") if scale.on_gpu else ("float32",):
            cfg = scale.settings(name, precision=precision)
            rows, label = scale.draw(cfg.max_len, min(scale.rows, scale.batch * STEPS))
            network = scale.network(cfg)
            optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
            run_steps(network, rows, label, optimiser, cfg.fit, WARM)
            with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
                run_steps(network, rows, label, optimiser, cfg.fit)
                scale.wait()
            spent = device_times(profiled) if scale.on_gpu else {}
            total = sum(spent.values())
            print(f"\n{name} {precision}: {total / 1e3 / STEPS:.2f} ms of kernels in a step")
            for kernel, time in sorted(spent.items(), key=lambda pair: -pair[1])[:TOP]:
                print(
                    f"{time / total:6.1%} {time / 1e3 / STEPS:7.3f} ms  {kernel[:150]}", flush=True
                )
            yield {"network": name, "precision": precision} | shares(spent)


def device_times(profiled: profile) -> dict[str, float]:
    """Microseconds of each kernel, copy and fill on the device, by name."""
    spent: dict[str, float] = defaultdict(float)
    for event in profiled.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            spent[event.name] += event.device_time_total
    return {
        name: time
        for name, time in spent.items()
        if name not in ("batch", "forward", "backward", "update")
    }


def shares(spent: dict[str, float]) -> dict[str, float | None]:
    """Milliseconds of kernels in a step, and the share of each family; None without a device."""
    total, by_family = sum(spent.values()), dict.fromkeys([*(f for f, _ in FAMILIES), "other"], 0.0)
    for kernel, time in spent.items():
        by_family[family(kernel)] += time
    if not total:
        return {"kernels, ms": None} | dict.fromkeys(by_family)
    return {"kernels, ms": total / 1e3 / STEPS} | {
        f: round(time / total, 3) for f, time in by_family.items()
    }


def family(kernel: str) -> str:
    return next((name for name, pattern in FAMILIES if re.search(pattern, kernel)), "other")
