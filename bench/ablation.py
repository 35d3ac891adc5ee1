"""The papers' ablation tables on a profile's folds: published figures beside ours, over seeds.

tables  qin      QIN's Tables 2 and 3 (Li et al. 2025, arXiv:2504.17699), and near relatives
        rows     the rows of QIN's bank, whose authors warn of unstable training at four
        final    FINAL's Table 1 (Zhu et al. 2023): one block, two, two that teach each other
        inputs   inputs beyond the paper, each added to QIN alone
        content  content made anew from raw text and image vectors, where the data has them
        losses   the losses of QIN's section 2.3
        speed    arithmetic that is faster than the published one
reads   what 00_data to 20_folds write for PROFILE, and makes it where it is missing
writes  the fits, as 50_train does and in the same place: run it again to go on
run     python -m bench.ablation PROFILE [key=value ...] [--tables qin,final] [--seeds 0,1,2]
        [--folds 0,1]

AUC of a seed: the mean over its folds. `held` is the fold that also chose the epoch; `valid` is the
official split, which chose nothing. Differences are taken seed by seed against the table's first
row; `95 %` is the paired bootstrap interval of valid's: users drawn, the fits as they are.
Published: AUC on official valid of MicroLens-1M, of DIN by the organisers' baseline, of QIN by its
authors' public training logs; a dash where no public source that we could read states it.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl

from bench.tables import spread
from cv.auc import auc
from cv.bootstrap import paired_bootstrap
from features.errors import InputError
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config import load as load_config
from pipeline.config import networks
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import is_up_to_date
from pipeline.training import fits as training
from pipeline.training.context import FitKey


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a network by name, and the words that the run needs besides."""

    label: str
    model: str
    words: tuple[str, ...] = ()
    published: float | None = None


def full(model: str, *words: str) -> tuple[str, ...]:
    """`words`, and the bank as published."""
    return (f"{model}.qnn.bank=full", *words)


CODES = ("prepare.codes=3",)
TABLES = {
    "qin": (
        Row("QIN", "qin", full("qin"), published=0.9701),
        Row("DIN", "din", published=0.8655),
        Row("without QNN: MLP", "qin_without_qnn"),
        Row("without ASTA: mean pooling", "qin_without_asta", full("qin_without_asta")),
        Row("softmax instead of ReLU scores", "qin_softmax", full("qin_softmax")),
        Row("ReLU² scores", "qin_relu2", full("qin_relu2")),
        Row("SiLU scores", "qin_silu", full("qin_silu")),
        Row("attention dropout 0.1", "qin_attention_dropout", full("qin_attention_dropout")),
        Row("ReLU instead of PReLU", "qin_relu_activation", full("qin_relu_activation")),
        Row("mid-activation", "qin_mid_activation", full("qin_mid_activation")),
    ),
    "rows": (
        Row("4 rows", "qin", full("qin", "qin.qnn.rows=4"), 0.9701),
        Row("3 rows", "qin", full("qin", "qin.qnn.rows=3"), 0.9695),
        Row("2 rows", "qin", full("qin", "qin.qnn.rows=2")),
        Row("1 row", "qin", full("qin", "qin.qnn.rows=1")),
    ),
    "final": (
        Row("2B + KD", "final"),
        Row("2B, the mean alone learns", "final_2b_without_distillation"),
        Row("1B", "final_1b"),
    ),
    "inputs": (
        Row("QIN", "qin", full("qin"), published=0.9701),
        Row("+ levels of history items", "qin", full("qin", "qin.item_levels=true"), 0.9838),
        Row("+ semantic codes", "qin", full("qin", "qin.item_codes=true", *CODES)),
        Row("+ user id", "qin", full("qin", "qin.user_id=true")),
    ),
    "content": (
        Row("content as released", "qin", full("qin"), published=0.9701),
        Row("content: joint PCA", "qin", full("qin", "prepare.content=joint_pca")),
        Row("content: PCA per modality", "qin", full("qin", "prepare.content=modality_pca")),
    ),
    "losses": (
        Row("bce", "qin", full("qin"), published=0.9701),
        Row("bce_bpr", "qin", full("qin", "qin.fit.loss=bce_bpr")),
        Row("focal", "qin", full("qin", "qin.fit.loss=focal")),
        Row("contrastive", "qin", full("qin", "qin.fit.loss=contrastive")),
    ),
    "speed": (
        Row("QIN, as published", "qin", full("qin"), 0.9701),
        Row("bf16", "qin", full("qin", "qin.fit.precision=bf16")),
        Row("collapsed bank", "qin"),
        Row("collapsed bank, bf16", "qin", ("qin.fit.precision=bf16",)),
    ),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What the fits of one row reached, a number a seed; and the rows of valid that judged them."""

    held: list[float]
    valid: list[float]
    epochs: float  # mean over the fits
    logits: np.ndarray  # (rows of valid, fits) float32
    label: np.ndarray  # (rows of valid,), and their users
    user: np.ndarray


def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--tables", default="qin", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--folds", default="", help="which of the profile's folds; all by default")
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing, then print every table that was asked for."""
    names = arguments.tables.split(",")
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise InputError(f"--tables: no {unknown[0]!r}; there are {', '.join(TABLES)}")
    check_words(arguments)
    fits = {row: fits_of(row, arguments) for name in names for row in TABLES[name]}
    known = {  # rows of different tables may share a fit
        place.path: (s, key, place) for s, row in fits.values() for key, place in row.items()
    }
    todo = [
        (s, key) for s, key, place in known.values() if not is_up_to_date(place, arguments.force)
    ]
    if todo:
        training.run(todo, arguments.force)
    for name in names:
        print(f"\n{name}, {arguments.profile}, seeds {arguments.seeds}\n")
        measured = {row: measure(*fits[row]) for row in TABLES[name]}
        print("\n".join(markdown(measured)), flush=True)


def check_words(arguments: argparse.Namespace) -> None:
    """Name the profile, and refuse words that the tables themselves say."""
    if arguments.profile is not None and "=" in arguments.profile:
        arguments.overrides.insert(0, arguments.profile)
        arguments.profile = None
    if arguments.profile is None:
        arguments.profile, why = load_config.default_profile()
        print(f"profile {arguments.profile}: {why}", flush=True)
    for word in arguments.overrides:
        for key, instead in (("models", "--tables"), ("train.seeds", "--seeds")):
            if word.startswith(f"{key}="):
                raise InputError(f"{word}: the tables name their own {key}; see {instead}")
    every = dict.fromkeys(row.model for table in TABLES.values() for row in table)
    if load_config.load(
        arguments.profile, [*arguments.overrides, f"models={','.join(every)}"]
    ).official:
        raise InputError(
            "on the official split one AUC would both choose the epoch and be reported; use"
            " folds.mode=kfold, and --folds 0 for one fold alone"
        )


def fits_of(row: Row, arguments: argparse.Namespace) -> tuple[Settings, dict[FitKey, ArtifactSpec]]:
    """The settings of `row` and its fits, on the chosen folds; makes what they are trained on."""
    typed = [word for word in arguments.overrides if concerns(word, row.model)]
    words = [*typed, *row.words, f"models={row.model}", f"train.seeds={arguments.seeds}"]
    s = load_config.load(arguments.profile, words)
    make_folds(s)
    folds = chosen_folds(arguments.folds, s)
    return s, {key: place for key, place in graph.fits(s).items() if key[2] in folds}


def concerns(word: str, model: str) -> bool:
    """Whether an override is not one of a network that has no part in the row of `model`."""
    section = word.partition("=")[0].partition(".")[0]
    return section not in networks.model_names() or section in dict(networks.lineage(model))


def measure(s: Settings, fits: dict[FitKey, ArtifactSpec]) -> Measured:
    """What finished fits reached."""
    split = open_store(spec.require(graph.store(s))).valid
    label, user = np.array(split.label), np.array(split.user)
    held, valid, epochs, logits = defaultdict(list), defaultdict(list), [], []
    for (_, seed, _), place in fits.items():
        report = spec.record(spec.require(place))["report"]
        logit = pl.read_parquet(place.path / "valid.parquet").sort("row_id")["logit"].to_numpy()
        held[seed].append(report["auc"])
        valid[seed].append(auc(label, logit))
        epochs.append(len(report["epochs"]))
        logits.append(logit)
    means = [[statistics.fmean(of[seed]) for seed in s.train.seeds] for of in (held, valid)]
    return Measured(*means, statistics.fmean(epochs), np.stack(logits, axis=1), label, user)


def make_folds(s: Settings) -> None:
    """Run the stages before training, where what they write is not there."""
    with contextlib.suppress(spec.MissingArtifact):
        if graph.folds(s).done:
            return
    run_stages = [sys.executable, "-m", "pipeline", *s.arguments, "--to", "20_folds"]
    done = subprocess.run(run_stages, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(done.stderr.strip().removeprefix("error: ") or "stopped")


def chosen_folds(text: str, s: Settings) -> list[int]:
    there = list(graph.fold_numbers(s))
    if not text:
        return there
    folds = [int(part) if part.strip().isdigit() else None for part in text.split(",")]
    if not set(folds) <= set(there):
        raise InputError(f"--folds {text}: there are {', '.join(map(str, there))}")
    return folds


def markdown(measured: dict[Row, Measured]) -> list[str]:
    """The lines of a table."""
    reference = next(iter(measured.values()))
    lines = [
        "| | published | held AUC | difference | valid AUC | difference | 95 % | epochs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, got in measured.items():
        cells = [row.label, f"{row.published:.4f}" if row.published else "—"]
        for ours, theirs in ((got.held, reference.held), (got.valid, reference.valid)):
            cells.append(spread(ours, 5))
            apart = [a - b for a, b in zip(ours, theirs, strict=True)]
            cells.append(spread(apart, 5, "+") if got is not reference else "—")
        cells.append("—" if got is reference else interval(got, reference))
        lines.append(f"| {' | '.join([*cells, f'{got.epochs:.1f}'])} |")
    return lines


def interval(got: Measured, reference: Measured) -> str:
    """Of the difference between two rows' AUC on valid."""
    found = paired_bootstrap(got.label, got.logits, reference.logits, got.user)
    return f"{found.low:+.5f} to {found.high:+.5f}"


if __name__ == "__main__":
    sys.exit(main())
