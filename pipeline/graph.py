"""The graph of the pipeline: for every stage, the settings and the input bytes of its results.

Each function returns the ArtifactSpec of a stage's results, whether they exist or not. It needs the
results of the stages before it; where one is missing, it raises MissingArtifact, which names it.
"""

import itertools
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.settings import ChallengeSettings
from features.store.hashing import sha256
from models.settings import NetworkSettings
from pipeline.artifacts.spec import (
    ArtifactSpec,
    MissingArtifact,
    digest,
    require,
)
from pipeline.config import search_space
from pipeline.config.choices import refuse
from pipeline.config.networks import paper_settings
from pipeline.config.schema import checked
from pipeline.config.settings import Settings
from pipeline.config.tables import merge
from pipeline.source_files import challenge_files, data

OFFICIAL = -1  # the one "fold" of official mode: train on all train rows, judge on official valid
FitKey = tuple[str, int, int]  # model, seed, fold


def store(s: Settings) -> ArtifactSpec:
    """10_prepare."""
    sizes = isinstance(s.data, ChallengeSettings) and s.data.published_sizes
    settings = {"published_sizes": sizes} | s.prepare.in_force()
    inputs = {name: sha256(path) for name, path in challenge_files(s).items()}
    return _spec(s, "10_prepare", "store", settings, inputs)


def probe(s: Settings) -> ArtifactSpec:
    """15_probe."""
    return _spec(s, "15_probe", "probe", {}, {"store": digest(store(s))})


def folds(s: Settings) -> ArtifactSpec:
    """20_folds."""
    settings: dict[str, Any] = (
        {"mode": "official"} if s.official else {"n": s.folds.n, "seed": s.folds.seed}
    )
    if s.chooses_by_stop_users:
        settings["stop_parts"] = s.folds.stop_parts
    name = "official" if s.official else f"kfold{s.folds.n}"
    return _spec(s, "20_folds", name, settings, {"store": digest(store(s))})


def features(s: Settings) -> ArtifactSpec:
    """30_features. In official mode, only networks with columns need folds of its own."""
    settings = {"valid_and_test": "by all rows", "codes": "uint8"}
    if not s.official:
        settings["valid_and_test"] = "by all rows, and outside each fold"
    elif not reads_columns(s):
        settings = {"train_valid_and_test": "by all rows"}
    return _spec(s, "30_features", "features", settings, _rows(s))


def reads_columns(s: Settings) -> bool:
    """Whether a network of the run, or of its studies, has columns."""
    return any(network.columns for network in possible(s))


def prefix_codes(s: Settings) -> ArtifactSpec:
    """30_features, for networks that have columns and train on prefixes."""
    inputs = _rows(s) | _digests({"features": features(s), "prefixes": prefixes(s)})
    return _spec(s, "30_features", "prefixes", {}, inputs)


def has_prefix_codes(s: Settings) -> bool:
    """Whether a network of the run, or of its studies, has columns and trains on prefixes."""
    return any(network.columns and network.fit.prefixes for network in possible(s))


def prefixes(s: Settings) -> ArtifactSpec:
    """25_prefixes: as many as any network of the run trains on."""
    settings = {"last": most_prefixes(s)}
    inputs = {"store": digest(store(s))}
    return _spec(s, "25_prefixes", f"last{settings['last']}", settings, inputs)


def most_prefixes(s: Settings) -> int:
    """The largest fit.prefixes of the run's networks, and of what their studies may try."""
    return max(network.fit.prefixes for network in possible(s))


def possible(s: Settings) -> list[NetworkSettings]:
    """The run's networks, and the widest ones that its studies may try."""
    tuned = s.tune.models if s.tune.trials else s.tuned
    return [*s.networks.values(), *(widest(s, model) for model in tuned)]


def widest(s: Settings, model: str) -> NetworkSettings:
    """A network with the largest fit.prefixes, and columns, that its study may try."""
    network = s.networks[model]
    space = search_space.load(model, network)
    searched = space.get("fit.prefixes")
    fit = replace(network.fit, prefixes=max(searched.ends)) if searched else network.fit
    return replace(network, fit=fit, columns=network.columns or "columns" in space)


def tunings(s: Settings) -> dict[str, ArtifactSpec]:
    """40_tune: the best settings that a study found, by network.

    The number of trials is not in the name: with more trials the same study resumes.
    """
    return {model: _tuning(s, model) for model in s.tune.models}


def _tuning(s: Settings, model: str) -> ArtifactSpec:
    searched = search_space.load(model, s.networks[model])
    inputs = _digests(training_inputs(s, [widest(s, model)]))
    settings = {
        "network": search_space.without(s.networks[model].naming(), searched),
        "space": {key: asdict(one) for key, one in searched.items()},
        "train_seed": s.train.seeds[0],
        "seed": s.tune.seed,
        "users": s.tune.users,
    } | s.order
    name = f"{model}-{folds(s).name}"
    folder = Path(s.artifacts) / s.profile / "40_tune"
    return ArtifactSpec("40_tune", name, folder, settings, inputs, min_finished=s.tune.trials)


def networks(s: Settings) -> dict[str, NetworkSettings]:
    """The networks of the run; with train.settings=tuned, 40_tune's best ones of tune.models."""
    if not s.tuned:
        return s.networks
    used = s.networks | {model: _best(s, model, spec) for model, spec in tunings(s).items()}
    refuse(replace(s, networks=used))
    return used


def _best(s: Settings, model: str, spec: ArtifactSpec) -> NetworkSettings:
    if not spec.done:
        raise MissingArtifact(
            f"train.settings=tuned, but {model} has no finished study of these settings: run"
            f" {tune_command(s)}"
        )
    best = tomllib.loads((require(spec) / "best.toml").read_text(encoding="utf-8"))
    return checked(NetworkSettings, merge(asdict(paper_settings(model)), best), model)


def tune_command(s: Settings) -> str:
    """What finishes the studies that train.settings=tuned needs."""
    ours = ("train.settings=", "tune.trials=")
    command = " ".join(argument for argument in s.arguments if not argument.startswith(ours))
    return f"python -m pipeline.40_tune {command} tune.trials={s.tune.trials or 50}"


def training_inputs(s: Settings, trained: Iterable[NetworkSettings]) -> dict[str, ArtifactSpec]:
    """What training reads for the networks `trained`, by name."""
    trained, inputs = list(trained), {"store": store(s), "folds": folds(s)}
    if any(network.fit.prefixes for network in trained):
        inputs["prefixes"] = prefixes(s)
    if any(network.columns for network in trained):
        inputs["features"] = features(s)
    if any(network.columns and network.fit.prefixes for network in trained):
        inputs["prefix_codes"] = prefix_codes(s)
    return inputs


def fold_numbers(s: Settings) -> range | tuple[int]:
    return (OFFICIAL,) if s.official else range(s.folds.n)


def fits(s: Settings) -> dict[FitKey, ArtifactSpec]:
    """50_train: every fit of the run by (model, seed, fold)."""
    specs, used = {}, networks(s)
    inputs = {model: _digests(training_inputs(s, [used[model]])) for model in s.models}
    for model, seed, fold in itertools.product(s.models, s.train.seeds, fold_numbers(s)):
        settings = {"network": used[model].naming(), "seed": seed, "fold": fold} | s.order
        name = f"{model}-seed{seed}-{'official' if fold == OFFICIAL else f'fold{fold}'}"
        specs[model, seed, fold] = _spec(s, "50_train", name, settings, inputs[model])
    return specs


def one_fit_each(s: Settings) -> dict[FitKey, ArtifactSpec]:
    """The fits of 50_train with the first seed and fold: one per model."""
    first = s.train.seeds[0], fold_numbers(s)[0]
    return {key: spec for key, spec in fits(s).items() if key[1:] == first}


def mask(s: Settings) -> ArtifactSpec:
    """55_mask."""
    inputs = {spec.name: digest(spec) for spec in one_fit_each(s).values()}
    return _spec(s, "55_mask", "mask", {}, inputs | {"store": digest(store(s))})


def blend(s: Settings) -> ArtifactSpec:
    """60_blend."""
    inputs = {spec.name: digest(spec) for spec in fits(s).values()} | _rows(s)
    settings: dict[str, Any] = {"method": s.blend.method, "rules": s.rules, "models": s.models}
    settings["slates"] = s.blend.slates
    if not s.official:
        inputs["features"] = digest(features(s))
    if s.blend.external:
        inputs["external"] = sha256(_external(s.blend.external))
        settings |= {
            "external_task": s.blend.external_task,
            "external_weight": s.blend.external_weight,
            "external_mean": s.blend.external_mean,
        }
    return _spec(s, "60_blend", "blend", settings, inputs)


def submission(s: Settings) -> ArtifactSpec:
    """70_submit: under `submissions`, not under `artifacts`."""
    settings = {"rules": s.rules, "profile": s.profile}
    folder = Path(s.submissions) / s.profile
    return ArtifactSpec("70_submit", s.rules, folder, settings, {"blend": digest(blend(s))})


def board(s: Settings) -> Path:
    """The leaderboard of all submissions, which 80_report writes."""
    return Path(s.submissions) / "leaderboard.csv"


def _rows(s: Settings) -> dict[str, str]:
    """Digests of the rows and of their folds."""
    return _digests({"store": store(s), "folds": folds(s)})


def _digests(specs: Mapping[str, ArtifactSpec]) -> dict[str, str]:
    return {name: digest(spec) for name, spec in specs.items()}


def _external(path: str) -> Path:
    if not Path(path).is_file():
        raise InputError(
            f"blend.external={path}: no such file; expected a csv or zip with ID,Task2"
        )
    return Path(path)


def _data(s: Settings) -> list[ArtifactSpec]:
    spec = data(s)
    if spec is None:
        challenge_files(s)  # raises where they are missing, since no stage writes them
        return []
    return [spec]


def _spec(
    s: Settings, stage: str, name: str, settings: dict[str, Any], inputs: dict[str, str]
) -> ArtifactSpec:
    return ArtifactSpec(stage, name, Path(s.artifacts) / s.profile / stage, settings, inputs)


OUTPUTS: dict[str, Callable[[Settings], list[ArtifactSpec]]] = {
    "00_data": _data,
    "10_prepare": lambda s: [store(s)],
    "15_probe": lambda s: [probe(s)],
    "20_folds": lambda s: [folds(s)],
    "25_prefixes": lambda s: [prefixes(s)],
    "30_features": lambda s: [features(s), *([prefix_codes(s)] if has_prefix_codes(s) else [])],
    "40_tune": lambda s: list(tunings(s).values()),
    "50_train": lambda s: list(fits(s).values()),
    "55_mask": lambda s: [mask(s)],
    "60_blend": lambda s: [blend(s)],
    "70_submit": lambda s: [submission(s)],
}
STAGES = (*OUTPUTS, "80_report")  # its spec needs the public scores as well: pipeline.runs.report


def stages(s: Settings) -> list[str]:
    """The stages of this run: 25_prefixes where it has prefixes, 40_tune where it has trials."""
    asked = {"25_prefixes": most_prefixes(s), "40_tune": s.tune.trials}
    return [name for name in STAGES if asked.get(name, True)]
