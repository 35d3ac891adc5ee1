"""Rules between settings: choices that exclude each other, and what rules=strict forbids.

What one value may be for itself is declared with it: see pipeline.config.schema.
"""

import re
from collections.abc import Iterator

from features.errors import InputError
from pipeline.config.nearest import THERE_ARE, near
from pipeline.config.networks import model_names
from pipeline.config.redact import without_passwords
from pipeline.config.settings import BLENDERS, Settings

COLUMNS = (  # beside logits, in 60_blend
    "row_id", "user_id", "ID", "slate", "fold", "label", "last", "probability"
)  # fmt: skip
NO_PREFIXES = (
    "prefixes are rows beside those of the store, and train.rows=stream reads the store alone: set"
    " train.rows=auto, or no prefixes"
)
DEVICES = r"auto|cpu|cuda(:[0-9]{1,3})?"  # what names a device, on a command line too
OTHER_ROWS = "other rows are not among a row's given features"


def refuse(s: Settings) -> None:
    """Raise InputError with all choices of `s` that exclude each other."""
    found = problems(s)
    if found:
        raise InputError("; ".join(found))


def problems(s: Settings) -> list[str]:
    """Every choice that is not on offer beside the others."""
    groups = [_models(s), _data(s), _folds(s), _training(s), _blending(s), _tuning(s)]
    if s.rules == "strict":
        groups.append(_strict(s))
    return [problem for group in groups for problem in group]


def _typed(s: Settings, *keys: str) -> list[str]:
    """The overrides of these keys, as they were typed."""
    return [override for override in s.overrides if override.partition("=")[0] in keys]


def _models(s: Settings) -> Iterator[str]:
    if len(set(s.models)) < len(s.models):
        yield f"models = {list(s.models)} must be distinct"
    known = model_names()
    for model in s.models:
        if not re.fullmatch(r"\w+", model) or model in (*BLENDERS, *COLUMNS):
            yield (
                f"models: {model!r} cannot name a network: letters, digits and _ only, and no name"
                " of a blender or of a column"
            )
    unknown = [f"{model!r}{near(model, known)}" for model in s.models if model not in known]
    if unknown:
        yield f"models: no model {', '.join(unknown)}{THERE_ARE}{', '.join(known)}"


def _data(s: Settings) -> Iterator[str]:
    for override in _typed(s, *(f"prepare.{key}" for key in s.prepare.unread)):
        yield (
            f"{override}: not read with prepare.content={s.prepare.content} and"
            f" prepare.codes={s.prepare.codes}"
        )
    for name, network in s.networks.items():
        if network.item_codes and not s.prepare.codes:
            yield f"{name}.item_codes=true needs semantic codes: add prepare.codes=3"


def _folds(s: Settings) -> Iterator[str]:
    if s.official:
        for override in _typed(s, "folds.n", "folds.seed", "folds.stop_users"):
            yield f"{override}: not read, the official split has no folds"


def _training(s: Settings) -> Iterator[str]:
    train = s.train
    if len(set(train.seeds)) < len(train.seeds):
        yield f"train.seeds = {list(train.seeds)} must be distinct"
    if not re.fullmatch(DEVICES, train.device):
        yield f"train.device = {train.device!r} must be auto, cpu, cuda or cuda:<n>"
    if train.rows != "stream":
        for override in _typed(s, "train.memory"):
            yield f"{override}: not read without train.rows=stream"
    if train.rows == "stream":
        for model, network in s.networks.items():
            if network.fit.prefixes:
                yield f"{model}.fit.prefixes={network.fit.prefixes}: {NO_PREFIXES}"
    if train.backend == "dask":
        if not re.fullmatch(r"(tcp|tls)://[^/@\s]+:\d{1,5}", train.scheduler):
            yield (
                "train.scheduler must be the Dask scheduler's tcp://host:port (or tls://), without"
                " user and password: overrides are written beside results"
            )
        for override in _typed(s, "train.workers"):
            yield f"{override}: not read with train.backend=dask, which takes all workers"
    elif train.scheduler:
        yield "train.scheduler: not read without train.backend=dask"
    if train.backend == "serial" and train.workers > 1:
        yield f"train.workers = {train.workers}, but train.backend=serial has one"


def _blending(s: Settings) -> Iterator[str]:
    if s.official and s.blend.method not in ("auto", "best_single"):
        yield (
            f"blend.method = {s.blend.method!r} needs out-of-fold rows, and folds.mode=official"
            " has none: use best_single"
        )
    if s.blend.slates == "off" and s.blend.method.startswith("slate_"):
        yield f"blend.method={s.blend.method} uses slates, and blend.slates=off forbids them"
    if not s.blend.external:
        keys = ("external_task", "external_weight", "external_mean")
        for override in _typed(s, *(f"blend.{key}" for key in keys)):
            yield f"{override}: not read without blend.external=FILE"


def _tuning(s: Settings) -> Iterator[str]:
    tune = s.tune
    if tune.users < 1 and s.train.rows == "stream":
        yield "tune.users below 1 picks rows in memory: not with train.rows=stream"
    if without_passwords(tune.storage) != tune.storage:
        yield (
            "tune.storage must not hold a password, since overrides are written beside results:"
            " put it into ~/.pgpass or PGPASSWORD"
        )
    if tune.trials and s.train.backend == "dask" and tune.pruner != "none":
        yield (
            f"tune.pruner = {tune.pruner!r} looks between folds, so train.backend=dask cannot"
            " spread them: add tune.pruner=none, or share trials by tune.storage"
        )
    if tune.trials or s.train.settings == "tuned":
        for model in tune.models:
            if model not in s.models:
                yield f"tune.models: {model!r} is not among models={','.join(s.models)}"
        if not tune.models or len(set(tune.models)) < len(tune.models):
            yield f"tune.models = {list(tune.models)} must be distinct, at least one"


def _strict(s: Settings) -> Iterator[str]:
    """What the challenge's rules for Task 2 exclude: one network, the given split, no ensemble."""
    if s.folds.mode == "kfold":
        yield "rules=strict refuses folds.mode=kfold: train on the given split (official)"
    if s.blend.method.startswith("slate_"):
        yield f"rules=strict refuses blend.method={s.blend.method}: {OTHER_ROWS}"
    elif s.blend.method not in ("auto", "best_single"):
        yield f"rules=strict refuses blend.method={s.blend.method}: no ensembles"
    if s.blend.slates == "auto":
        for override in _typed(s, "blend.slates"):
            yield f"rules=strict refuses {override}: {OTHER_ROWS}"
    if s.blend.external:
        yield "rules=strict refuses blend.external: a mean of two submissions is an ensemble"
    if len(s.train.seeds) > 1:
        yield "rules=strict refuses several train.seeds: their mean is an ensemble"
    if s.prepare.content != "given":
        yield f"rules=strict refuses prepare.content={s.prepare.content}: only the given features"
    if s.prepare.codes:
        yield f"rules=strict refuses prepare.codes={s.prepare.codes}: only the given features"
    for model, network in s.networks.items():
        if network.fit.prefixes:
            yield (
                f"rules=strict refuses {model}.fit.prefixes={network.fit.prefixes}: they are rows"
                " that the data do not hold, with negatives that we draw"
            )
        if network.columns:
            yield (
                f"rules=strict refuses {model}.columns: columns of other rows are not among the"
                " given features"
            )
        if network.fit.loss == "listwise":
            yield f"rules=strict refuses {model}.fit.loss=listwise: {OTHER_ROWS}"
        if network.item_levels:
            yield (
                f"rules=strict refuses {model}.item_levels: levels of history items are not among"
                " the given features"
            )
