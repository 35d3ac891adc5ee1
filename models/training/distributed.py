"""One fit over several processes: each works on its part of every batch, all take the same steps.

The steps are those of one process on the same batches, except for the order in which floats are
added:

    shards      every batch is cut into as many runs of rows as there are processes; lengths differ
                by one at most, and a process may have no row of a small batch
    gradient    of the summed loss, all parameters in one flat vector with the number of rows behind
                it; summed over the processes and divided by the rows of the whole batch
    batch norm  mean and variance over all rows of the batch, summed likewise, and so are their
                gradients (torch.nn.SyncBatchNorm does this on GPUs alone)
    logits      each process predicts a run of rows; they are gathered by row, so that a score is
                exact
    score       the first process's, so that all stop at the same epoch

L2 of whole tables, clipping and Adam come after the sum, and every process computes them alike.
Each process has its own dropout, so that a fit with dropout differs as it does with another seed.

DistributedDataParallel is not used: it averages over processes, which is wrong where shards differ,
and its buckets gain nothing where most of the gradient, whole embedding tables, comes last.

In a single process, all functions here compute what that process would compute without them.
"""

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.distributed.rendezvous import rendezvous as torch_rendezvous


class PeerLost(RuntimeError):
    """Another process of the fit has ended."""


def launched() -> bool:
    """Whether torchrun started this process."""
    return dist.is_torchelastic_launched()


def rendezvous() -> tuple[dist.Store, int]:
    """A store that the processes share and that outlives each of them, and this one's rank.

    torch's function of this name is what init_process_group calls; torch documents it in its own
    module alone. tests/models/training/test_distributed.py starts real processes with it.
    """
    store, rank, _ = next(torch_rendezvous("env://"))
    return dist.PrefixStore("rendezvous", store), rank


def init_process_group(backend: str) -> None:
    """From now on, the processes work together over `backend`: gloo or nccl."""
    dist.init_process_group(backend)


def destroy_process_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def rank_seed(seed: int) -> int:
    """The seed of draws that may differ between the processes: `seed` itself in the first one."""
    return (seed + 1_000_003 * rank()) % 2**63  # a CPU's generator reads the lower 32 bits alone


def shard(index: Tensor) -> Tensor:
    """This process's part of `index` (N,); the parts of all, in order, are the whole again."""
    return index.tensor_split(size())[rank()]


def sharding() -> Callable[[Tensor], Tensor] | None:
    """`shard`, where there are several processes."""
    return shard if size() > 1 else None


def sync_weights(network: nn.Module) -> None:
    """Give every process the first one's weights, and batch norm over all of them."""
    if size() == 1:
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm1d:
                setattr(module, name, GlobalBatchNorm.of(child))
    for tensor in network.state_dict().values():
        _broadcast(tensor)


def backward(loss: Tensor, parameters: Iterable[nn.Parameter], n_rows: int) -> None:
    """Set the gradients of the mean loss over the whole batch; `loss` is the mean over the `n_rows`
    rows of this process."""
    if size() == 1:
        loss.backward()
        return
    (loss * n_rows).backward()  # the mean over no rows is NaN, but has no gradient
    parameters = list(parameters)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = _all_reduce(torch.cat([*(g.flatten() for g in grads), grads[0].new_full((1,), n_rows)]))
    parts = flat[:-1].div_(flat[-1]).split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def mean(total: Tensor, n_rows: int) -> float:
    """The sum of `total` () float64 over all processes, divided by the rows of all."""
    if size() == 1:
        return total.item() / n_rows
    total, n_rows = _all_reduce(torch.stack((total, total.new_tensor(n_rows)))).tolist()
    return total / n_rows


def gather(own: Tensor, n_rows: int) -> Tensor:
    """(N,) from the values `own` that each process has for its `shard` of N = `n_rows` rows."""
    if size() == 1:
        return own
    whole = own.new_zeros(n_rows)
    whole[shard(torch.arange(n_rows, device=own.device))] = own
    return _all_reduce(whole)


def broadcast_scalar(value: float) -> float:
    """The first process's `value`."""
    if size() == 1:
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return _broadcast(torch.tensor(value, dtype=torch.float64, device=device)).item()


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch norm over the rows of all processes. Shapes: x (B, H), the process's part of a batch.

    Variances are computed from differences from the mean; a difference of squares would cancel.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> "GlobalBatchNorm":
        """A module that shares the parameters and statistics of `norm`."""
        module = cls(norm.num_features, norm.eps, norm.momentum)
        module.weight, module.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            setattr(module, name, buffer)
        return module.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        rows = x.new_full((1,), len(x))
        n, summed = _AllReduce.apply(torch.cat((rows, x.sum(0)))).split((1, x.shape[1]))
        centred = x - summed / n
        variance = _AllReduce.apply((centred**2).sum(0)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(summed / n, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        return centred * (variance + self.eps).rsqrt() * self.weight + self.bias


class _AllReduce(Function):
    """The sum over the processes; every process's loss depends on it, so gradients add up too."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return _all_reduce(x.clone())

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _all_reduce(grad.clone())


def _all_reduce(x: Tensor) -> Tensor:
    """`x`, overwritten with the sum over the processes."""
    try:
        dist.all_reduce(x)
    except RuntimeError as error:  # gloo raises no other class
        raise PeerLost(str(error)) from error
    return x


def _broadcast(x: Tensor) -> Tensor:
    """`x`, overwritten with the first process's."""
    try:
        dist.broadcast(x, 0)
    except RuntimeError as error:
        raise PeerLost(str(error)) from error
    return x
