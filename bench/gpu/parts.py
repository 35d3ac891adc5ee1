"""The parts of bench.gpu, the most important first, and the seconds that each may take."""

from dataclasses import replace

from bench.gpu.runner import Part
from features.errors import InputError

PARTS = (
    Part("networks", "bench.gpu.correctness:networks", "Networks on the GPU and on the CPU", 40),
    Part("fields", "bench.gpu.field_networks:networks", "Networks over fields, likewise", 30),
    Part("operators", "bench.gpu.correctness:operators", "AUC, ragged attention and batches", 15),
    Part("repeat", "bench.gpu.correctness:repeat", "The same fit twice, and resumed", 35),
    Part("epochs", "bench.gpu.speed.epochs:epochs", "Epochs at published settings", 95),
    Part("kernels", "bench.gpu.speed.profiling:kernels", "Kernels of a training step", 35),
    Part("graphs", "bench.gpu.speed.graphs:graphs", "A step as one CUDA graph", 30),
    Part("together", "bench.gpu.speed.together:together", "Several fits on one card", 40),
    Part("padded", "bench.gpu.speed.epochs:padded_loop", "Published way of working, same card", 40),
    Part("sample", "bench.gpu.sample:sample", "The sample, end to end", 150),
    Part("real", "bench.gpu.scores:scores_on_store", "AUC of faster arithmetic, real rows", 120),
    Part("convergence", "bench.gpu.convergence:convergence", "Fits to convergence", 100),
    Part("variants", "bench.gpu.speed.variants:variants", "What makes training faster", 70),
    Part("scores", "bench.gpu.scores:scores", "AUC of faster arithmetic, generated rows", 90),
    Part("serving", "bench.gpu.speed.serving:serving", "Single requests", 45),
    Part("attention", "bench.gpu.speed.attention:attention", "Attention alone: ragged, fused", 20),
    Part("triton", "bench.gpu.speed.variants:triton", "Attention in one Triton kernel", 20),
    Part("compiled", "bench.gpu.speed.variants:compiled", "The interaction part compiled", 60),
    Part("torchrun", "bench.gpu.two_processes:torchrun", "One fit over two cards", 60),
)  # fmt: skip


def choose(text: str) -> list[Part]:
    """The parts that `text` lists, such as "epochs,sample=120", with their budgets; all by default.

    Raises InputError for an unknown name and for a budget that is no number of seconds.
    """
    known, chosen = {part.name: part for part in PARTS}, []
    for name, equals, seconds in (each.partition("=") for each in text.split(",") if each):
        if name not in known:
            raise InputError(f"--parts: no {name!r}; there are {', '.join(known)}")
        if equals and not (seconds.isdecimal() and int(seconds)):
            raise InputError(f"--parts: {name}={seconds}, expected a whole number of seconds")
        chosen.append(replace(known[name], budget=int(seconds)) if equals else known[name])
    return chosen or list(PARTS)
