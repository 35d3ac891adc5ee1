"""Time and memory of a few training steps on a run's rows, outside fold 0 as in 50_train."""

import dataclasses

from bench.tools import output, steps
from pipeline.config.settings import Settings
from pipeline.runtime.compute import prepare_training
from pipeline.training.context import TrainingContext

MAX_HELD_ROWS = 8192 * 4  # that inference scores


def train(s: Settings, model: str, n_steps: int) -> dict:
    """The figures of steps.measure, and memory before it, MiB; a network of the run `s`."""
    prepare_training(s.train.threads)
    libraries, cfg = steps.resident_mib(), s.networks[model]
    context = TrainingContext.of_run(s)
    network, opened = context.network(model, 0), steps.resident_mib()
    rows, label = context.rows["train"].cut(cfg.max_len), context.label["train"]
    inside = (context.fold != 0).nonzero().squeeze(1)
    held = (context.fold == 0).nonzero().squeeze(1)[:MAX_HELD_ROWS]
    measurement = steps.measure(
        network, rows.take(inside), label[inside], rows.take(held), label[held], cfg.fit, n_steps
    )
    return {"libraries_mib": libraries, "opened_mib": opened} | dataclasses.asdict(measurement)


def table(model: str, s: Settings, m: dict, store_mb: float) -> str:
    """What uses the memory of training; `m` is a result of `train`."""
    copies = 4 * m["weights_mib"]
    parts = {
        "libraries": m["libraries_mib"],
        "rows, histories, network, frozen item table": m["opened_mib"] - m["libraries_mib"],
        "the fold's rows": m["before_mib"] - m["opened_mib"],
        "gradients, Adam's moments, best weights (4 times the weights)": copies,
        "a batch's activations and work space": m["peak_mib"] - m["before_mib"] - copies,
        "peak": m["peak_mib"],
        "peak beyond the store": m["peak_mib"] - store_mb * 1e6 / 2**20,
    }
    size = s.networks[model].fit.batch_size
    names = (f"training {model} in batches of {size:,} rows, memory of the host", "MiB")
    rows = (output.table_row((name, f"{mib:,.0f}")) for name, mib in parts.items())
    return "\n".join([output.table_header(names), *rows])
