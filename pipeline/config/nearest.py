"""What a message about an unknown name says next: the nearest known one, or what there is."""

import difflib
from collections.abc import Iterable

THERE_ARE = "; there are "
CLOSE = 0.75  # difflib's ratio of two keys of one section, such as layer and layers
OTHER_NAMES = {  # what people call a setting -> how its key ends here
    "lr": "learning_rate",
    "epochs": "max_epochs",
    "epoch": "max_epochs",
    "n_epochs": "max_epochs",
    "num_epochs": "max_epochs",
    "bs": "batch_size",
    "batch": "batch_size",
    "wd": "embedding_l2",
    "weight_decay": "embedding_l2",
    "l2": "embedding_l2",
    "embedding_regularizer": "embedding_l2",
    "emb_dim": "embedding_dim",
    "embedding_size": "embedding_dim",
    "max_length": "max_len",
    "seq_len": "max_len",
    "min_lr": "min_learning_rate",
    "lr_decay": "decay",
    "gamma": "focal_gamma",
    "early_stopping": "patience",
    "grad_clip": "clip_norm",
    "max_grad_norm": "clip_norm",
    "amp": "precision",
    "fp16": "precision",
    "bf16": "precision",
    "hidden_units": "mlp.hidden",
    "n_layers": "layers",
    "num_layers": "layers",
    "num_heads": "heads",
    "seed": "train.seeds",
    "random_state": "train.seeds",
    "gpu": "train.device",
    "cuda": "train.device",
    "num_workers": "train.workers",
    "n_jobs": "train.workers",
    "n_folds": "folds.n",
    "n_trials": "tune.trials",
    "model": "models",
    "output": "artifacts",
}


def near(key: str, known: Iterable[str], ask: str = "did you mean", cutoff: float = 0.6) -> str:
    """What to add to a message about `key`: the nearest of `known`, or nothing."""
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=cutoff)
    if not close:
        return ""
    return f", {ask} {close[0]!r}{'?' if ask == 'did you mean' else ''}"


def near_key(key: str, known: Iterable[str]) -> str:
    """As `near`, by the last part of dotted keys: `qin.decay` is near `qin.fit.decay`.

    The section that was typed goes first: `qin.qnn.layer` is near `qin.qnn.layers`, whatever other
    section has a `layer`. A last part by which the field knows other settings names all of them:
    `dropout`, `lr`.
    """
    by_last: dict[str, list[str]] = {}
    for full in known:
        by_last.setdefault(full.rpartition(".")[2], []).append(full)
    known = dict.fromkeys(full for keys in by_last.values() for full in keys)
    section, _, last = key.rpartition(".")
    if section and last not in OTHER_NAMES:
        beside = [full.rpartition(".")[2] for full in known if full.rpartition(".")[0] == section]
        if close := difflib.get_close_matches(last, beside, n=1, cutoff=CLOSE):
            return near(key, [f"{section}.{close[0]}"], cutoff=0)
    end = OTHER_NAMES.get(last, last)
    meant = [full for full in known if f".{full}".endswith((f".{end}", f".{last}"))]
    if len(meant) > 1 and not section:
        return f", did you mean one of {', '.join(meant)}?"
    if meant:
        typed = [full for full in meant if _sections(full) <= _sections(key)]
        return near(key, typed or meant, cutoff=0)
    close = difflib.get_close_matches(last, by_last, n=1)
    return near(key, by_last[close[0]], cutoff=0) if close else ""


def _sections(key: str) -> set[str]:
    return set(key.split(".")[:-1])


def without_repeats(problems: Iterable[str]) -> list[str]:
    """Distinct `problems`; a list of what there is ends only the first of those that it would."""
    printed: dict[str, str] = {}  # problem -> what is printed
    lists: set[str] = set()
    for problem in problems:
        text, _, there_are = problem.partition(THERE_ARE)
        printed.setdefault(problem, text if there_are in lists else problem)
        lists |= {there_are} - {""}
    return list(printed.values())
