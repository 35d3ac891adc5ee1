"""The parts of bench.gpu, the most important first, and the seconds that each may take."""

from bench.gpu.runner import Part

PARTS = (
    Part("networks", "bench.gpu.correctness:networks", "Networks on the GPU and on the CPU", 40),
    Part("operators", "bench.gpu.correctness:operators", "AUC, ragged attention and batches", 30),
    Part("repeat", "bench.gpu.correctness:repeat", "The same fit twice, and resumed", 30),
    Part("epochs", "bench.gpu.epochs:epochs", "Epochs at published settings", 90),
    Part("scores", "bench.gpu.scores:scores", "AUC of faster arithmetic, generated rows", 90),
    Part("real", "bench.gpu.scores:scores_on_store", "AUC of faster arithmetic, real rows", 120),
    Part("sample", "bench.gpu.sample:sample", "The sample, end to end", 90),
    Part("kernels", "bench.gpu.profiling:kernels", "Kernels of a training step", 40),
    Part("attention", "bench.gpu.attention:attention", "Attention alone, ragged and fused", 40),
    Part("triton", "bench.gpu.variants:triton", "Attention in one Triton kernel", 30),
    Part("graphs", "bench.gpu.variants:graphs", "CUDA graphs", 40),
    Part("compiled", "bench.gpu.variants:compiled", "Compiled", 80),
    Part("variants", "bench.gpu.variants:variants", "What makes training faster", 90),
    Part("padded", "bench.gpu.epochs:padded_loop", "The published way of working, same card", 40),
    Part("convergence", "bench.gpu.convergence:convergence", "Fits to convergence", 110),
    Part("serving", "bench.gpu.serving:serving", "Single requests", 45),
    Part("torchrun", "bench.gpu.two_processes:torchrun", "One fit over two cards", 60),
)  # fmt: skip
