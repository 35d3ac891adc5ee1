"""55_mask: does every trained network read the real history items and no others,
and does it help?

It opens one fit per model (the first seed and fold), on rows of official
valid. It only reports: 60_blend takes the networks as they are.

reads   artifacts/<profile>/50_train/, and what 50_train reads
writes  artifacts/<profile>/55_mask/mask-<hash>/mask.json, by model: padding
        (other padding moves no logit), history (other items move logits),
        shuffled (AUC with histories of other users), columns (AUC with the
        columns of other rows, of networks that have columns)
run     python -m pipeline.55_mask PROFILE [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import json

import torch

from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.probes import history_use
from pipeline.runtime import cli
from pipeline.runtime.build import builds
from pipeline.runtime.devices import pick_device
from pipeline.runtime.out_of_memory import enough_memory
from pipeline.runtime.progress import progress_bar
from pipeline.training import health
from pipeline.training.context import TrainingContext

REMEDY = "keep the rows on the host, train.rows=host; then take the CPU, train.device=cpu"


@builds(graph.mask)
def work(s: Settings, out: ArtifactWriter) -> dict:
    torch.set_num_threads(s.train.threads)
    with enough_memory(pick_device(s.train.device), "55_mask", REMEDY):
        models, n_rows = examine(s)
    table = {"rows": n_rows, "models": models}
    (out / "mask.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return {"rows": n_rows, "models": len(models)}


def examine(s: Settings) -> tuple[dict[str, dict], int]:
    """The entries of mask.json by model, and the number of rows."""
    context = TrainingContext.of_run(s)
    fits, models = graph.one_fit_each(s), {}
    unlearned = {finding.fit: finding for finding in health.of_run(s) if not finding.learned}
    for key, fit in progress_bar(list(fits.items()), "networks"):
        model, seed, fold = key
        rows, label = history_use.valid_rows(context, fold, context.settings.networks[model])
        network = context.network(model, seed)
        network.load_state_dict(torch.load(require(fit) / "model.pt", weights_only=True))
        models[model] = history_use.examine(network, rows, label)
        print_result(model, models[model], unlearned.get(key))
    return models, len(rows)


def print_result(model: str, entry: dict, fault: health.Finding | None = None) -> None:
    """One line for the network, and one for each warning; `fault` is that of a fit that did not
    learn."""
    padding, history, shuffled = entry["padding"], entry["history"], entry["shuffled"]
    result = {True: "pass", False: "FAIL", None: "not measured"}
    with_others = f"with the histories of other users {shuffled['auc_shuffled']:.4f}"
    if "columns" in entry:
        with_others += f", with the columns of other rows {entry['columns']['auc_shuffled']:.4f}"
    print(
        f"55_mask {model} padding {result[padding['passed']]}"
        f" (largest change {padding['largest_change']:.1g}), history {result[history['passed']]}"
        f" ({history['moved']:.1%} of logits moved), AUC {shuffled['auc']:.4f}, {with_others}",
        flush=True,
    )
    if padding["passed"] is False:
        print(f"55_mask warning: {model} reads padding; see the mask of its interest part")
    if history["passed"] is False:
        print(f"55_mask warning: {model} ignores history items; see the mask of its interest part")
    if None in (padding["passed"], history["passed"], shuffled["helps"]):
        print(
            f"55_mask {model}: official valid cannot tell all of this: it takes rows with a"
            " history, two items, and two users whose histories differ"
        )
    if shuffled["helps"] is False:
        gain = f"{shuffled['gain']:.4f} ({shuffled['low']:.4f} to {shuffled['high']:.4f})"
        advice = "did training go far enough?"
        print(f"55_mask warning: {model}: its own histories add {gain} to the AUC; {advice}")
    if fault is not None:
        print(f"55_mask warning: {fault.text}; other fits of {model} may read more of a history")


if __name__ == "__main__":
    cli.stage(__doc__, work)
