"""55_mask: does every trained network read the real history items, only those, and to what use?

After 50_train, whose networks it opens, and before 60_blend, which takes them as they are. One fit
a model (the first seed and fold), rows of official valid.

reads   artifacts/<profile>/50_train/, artifacts/<profile>/10_prepare/
writes  artifacts/<profile>/55_mask/mask-<hash>/mask.json, by model: padding (other padding moves no
        logit), history (other items move them), shuffled (AUC with histories of other users)
run     python -m pipeline.55_mask PROFILE [key=value ...]
"""

import json

import torch

from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.load import Settings
from pipeline.probes import history_use
from pipeline.runtime import cli
from pipeline.runtime.build import build
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.runtime.progress import progress_bar
from pipeline.training.context import TrainingContext

REMEDY = "keep the rows on the host, train.rows=host; then take the CPU, train.device=cpu"


def work(s: Settings, force: bool) -> None:
    place = graph.mask(s)

    def fill(out: ArtifactWriter) -> dict:
        torch.set_num_threads(s.train.threads)
        with enough_memory(pick_device(s.train.device), "55_mask", REMEDY):
            found, n_rows = examine(s)
        written = {"rows": n_rows, "models": found}
        (out / "mask.json").write_text(json.dumps(written, indent=1) + "\n")
        return {"rows": n_rows, "models": len(found)}

    build(place, force, fill)


def examine(s: Settings) -> tuple[dict[str, dict], int]:
    """What was found of each model, and on how many rows."""
    bench = TrainingContext.open(s, require(graph.store(s)), require(graph.folds(s)))
    rows, label = history_use.valid_rows(bench)
    fits, found = graph.one_fit_each(s), {}
    for (model, seed, _), fit in progress_bar(list(fits.items()), "55_mask"):
        network = bench.network(model, seed)
        network.load_state_dict(torch.load(require(fit) / "model.pt", weights_only=True))
        found[model] = history_use.examine(network, rows.cut(s.networks[model].max_len), label)
        say(model, found[model])
    return found, len(rows)


def say(model: str, found: dict) -> None:
    """A line a network, and one for each warning."""
    padding, history, shuffled = found["padding"], found["history"], found["shuffled"]
    result = {True: "pass", False: "FAIL"}
    print(
        f"55_mask {model} padding {result[padding['passed']]}"
        f" (largest change {padding['largest_change']:.1g}), history {result[history['passed']]}"
        f" ({history['moved']:.1%} of logits moved), AUC {shuffled['auc']:.4f}, with the histories"
        f" of others {shuffled['auc_shuffled']:.4f}",
        flush=True,
    )
    if not padding["passed"]:
        print(f"55_mask warning: {model} reads padding; see the mask of its interest part")
    if not history["passed"]:
        print(f"55_mask warning: {model} ignores history items; see the mask of its interest part")
    if not shuffled["helps"]:
        gain = f"{shuffled['gain']:.4f} ({shuffled['low']:.4f} to {shuffled['high']:.4f})"
        print(f"55_mask warning: {model} gains {gain} by the right history; is it trained enough?")


if __name__ == "__main__":
    cli.stage(__doc__, work)
