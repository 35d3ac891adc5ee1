"""The papers' ablation tables on a profile's folds: published figures beside
ours, over seeds.

tables  qin      QIN's Tables 2 and 3 (Li et al. 2025, arXiv:2504.17699), and
                 near relatives
        rows     the rows of QIN's bank, whose authors warn of unstable
                 training at four
        final    FINAL's Table 1 (Zhu et al. 2023): one block, two, two that
                 teach each other; these with the paper's layer, which has
                 twice the maps and ReLU; the published layer with both
        inputs   inputs beyond the paper, each added to QIN alone
        content  content recomputed from raw text and image vectors, where the
                 data has them
        losses   the losses of QIN's section 2.3
        speed    arithmetic that is faster than the published one
        medium_qin, medium_din, medium_final
                 factors rounded to bfloat16 by a CPU's matrix units (AMX)
reads   what 00_data to 20_folds write for PROFILE; runs them where it is
        missing
writes  the fits, as 50_train does and in the same folder: run it again to
        resume
run     python -m bench.ablation PROFILE [key=value ...] [--tables qin,final]
        [--seeds 0,1,2] [--folds 0,1]

The AUC of a seed is the mean over its folds. `held` is the held-out fold,
which also chooses the epoch with folds.stop_users=0; `valid` is the official
split, on which no choice depends. Differences to the table's first row are
taken seed by seed. `95 %` is the interval of the one on valid over users and
seeds (cv/trainings.py), or over users alone where there is one seed: the line
below a table says which. Published: AUC on official valid of MicroLens-1M, for
DIN of the organisers' baseline, for QIN of its authors' public training logs;
a dash where we found no public source.
"""

import argparse
import sys
from dataclasses import dataclass

from bench.tools import trained
from bench.tools.output import mean_and_sd, table_header, table_row
from bench.tools.trained import Fits, SeedScores, applies_to, difference
from features.errors import InputError
from pipeline.config import load as load_config
from pipeline.config.settings import Settings
from pipeline.runtime import cli


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One row of a table: a network by name, and the overrides of its run."""

    label: str
    model: str
    overrides: tuple[str, ...] = ()
    published: float | None = None


def full(model: str, *overrides: str) -> tuple[str, ...]:
    """`overrides`, and the bank as published."""
    return (f"{model}.qnn.bank=full", *overrides)


CODES = ("prepare.codes=3",)
LIKE_PAPER = tuple(
    f"final.final.{typed}" for typed in ("residual=sum", "activation1=relu", "activation2=relu")
)
TABLES = {
    "qin": (
        AblationRow("QIN", "qin", full("qin"), published=0.9701),
        AblationRow("DIN", "din", published=0.8655),
        AblationRow("without QNN: MLP", "qin_without_qnn"),
        AblationRow("without ASTA: mean pooling", "qin_without_asta", full("qin_without_asta")),
        AblationRow("softmax instead of ReLU scores", "qin_softmax", full("qin_softmax")),
        AblationRow("ReLU² scores", "qin_relu2", full("qin_relu2")),
        AblationRow("SiLU scores", "qin_silu", full("qin_silu")),
        AblationRow(
            "attention dropout 0.1", "qin_attention_dropout", full("qin_attention_dropout")
        ),
        AblationRow("ReLU instead of PReLU", "qin_relu_activation", full("qin_relu_activation")),
        AblationRow("mid-activation", "qin_mid_activation", full("qin_mid_activation")),
    ),
    "rows": (
        AblationRow("4 rows", "qin", full("qin", "qin.qnn.rows=4"), 0.9701),
        AblationRow("3 rows", "qin", full("qin", "qin.qnn.rows=3"), 0.9695),
        AblationRow("2 rows", "qin", full("qin", "qin.qnn.rows=2")),
        AblationRow("1 row", "qin", full("qin", "qin.qnn.rows=1")),
    ),
    "final": (
        AblationRow("2B + KD", "final"),
        AblationRow("2B, the mean alone learns", "final_2b_without_distillation"),
        AblationRow("1B", "final_1b"),
        AblationRow("2B + KD, the paper's layer", "final_paper"),
        AblationRow("2B + KD, its maps and ReLU, published layer", "final", LIKE_PAPER),
    ),
    "inputs": (
        AblationRow("QIN", "qin", full("qin"), published=0.9701),
        AblationRow(
            "+ levels of history items", "qin", full("qin", "qin.item_levels=true"), 0.9838
        ),
        AblationRow("+ semantic codes", "qin", full("qin", "qin.item_codes=true", *CODES)),
        AblationRow("+ user id", "qin", full("qin", "qin.user_id=true")),
    ),
    "content": (
        AblationRow("content as released", "qin", full("qin"), published=0.9701),
        AblationRow("content: joint PCA", "qin", full("qin", "prepare.content=joint_pca")),
        AblationRow(
            "content: PCA per modality", "qin", full("qin", "prepare.content=modality_pca")
        ),
    ),
    "losses": (
        AblationRow("bce", "qin", full("qin"), published=0.9701),
        AblationRow("bce_bpr", "qin", full("qin", "qin.fit.loss=bce_bpr")),
        AblationRow("focal", "qin", full("qin", "qin.fit.loss=focal")),
        AblationRow("contrastive", "qin", full("qin", "qin.fit.loss=contrastive")),
    ),
    "speed": (
        AblationRow("QIN, as published", "qin", full("qin"), 0.9701),
        AblationRow("bf16", "qin", full("qin", "qin.fit.precision=bf16")),
        AblationRow("collapsed bank", "qin"),
        AblationRow("collapsed bank, bf16", "qin", ("qin.fit.precision=bf16",)),
    ),
} | {
    f"medium_{model}": (
        AblationRow(model.upper(), model),
        AblationRow("medium", model, (f"{model}.fit.precision=medium",)),
    )
    for model in ("qin", "din", "final")
}


def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--tables", default="qin", help=f"comma-separated: {', '.join(TABLES)}")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--folds", default="", help="comma-separated; all by default")
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Train the missing fits, then print the tables of --tables."""
    names = arguments.tables.split(",")
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise InputError(f"--tables: no {unknown[0]!r}; there are {', '.join(TABLES)}")
    check_overrides(arguments)
    fits = {row: fits_of_row(row, arguments) for name in names for row in TABLES[name]}
    trained.train(trained.missing(fits.values(), arguments.force), arguments.force)
    for name in names:
        print(f"\n{name}, {arguments.profile}, seeds {arguments.seeds}\n")
        results = {row: trained.read_scores(*fits[row]) for row in TABLES[name]}
        print("\n".join(markdown(results)), flush=True)


def check_overrides(arguments: argparse.Namespace) -> None:
    """Fill in the default profile, and refuse overrides of what the tables set themselves."""
    if arguments.profile is not None and "=" in arguments.profile:
        arguments.overrides.insert(0, arguments.profile)
        arguments.profile = None
    if arguments.profile is None:
        arguments.profile, why = load_config.default_profile()
        print(f"profile {arguments.profile}: {why}", flush=True)
    for override in arguments.overrides:
        for key, option in (("models", "--tables"), ("train.seeds", "--seeds")):
            if override.startswith(f"{key}="):
                raise InputError(f"{override}: the tables set {key}; use {option}")
    models = dict.fromkeys(row.model for table in TABLES.values() for row in table)
    if load_config.load(
        arguments.profile, [*arguments.overrides, f"models={','.join(models)}"]
    ).official:
        raise InputError(
            "on the official split one AUC would both choose the epoch and be reported; use"
            " folds.mode=kfold, and --folds 0 for a single fold"
        )


def fits_of_row(row: AblationRow, arguments: argparse.Namespace) -> tuple[Settings, Fits]:
    """The settings of `row` and its fits on the chosen folds; runs the stages before them."""
    typed = [override for override in arguments.overrides if applies_to(override, row.model)]
    overrides = [*typed, *row.overrides, f"models={row.model}", f"train.seeds={arguments.seeds}"]
    s = load_config.load(arguments.profile, overrides)
    return s, trained.fits_of(s, arguments.folds)


def markdown(results: dict[AblationRow, SeedScores]) -> list[str]:
    """A header, one line per row, and what the intervals cover."""
    reference = next(iter(results.values()))
    names = ("published", "held AUC", "difference", "valid AUC", "difference", "95 %", "epochs")
    lines, covers = table_header(("", *names)).splitlines(), ""
    for row, result in results.items():
        cells = [row.label, f"{row.published:.4f}" if row.published else "—"]
        pairs = ((result.held, reference.held), (result.valid, reference.valid))
        for aucs, reference_aucs in pairs:
            cells.append(mean_and_sd(aucs, 5))
            differences = [a - b for a, b in zip(aucs, reference_aucs, strict=True)]
            cells.append(mean_and_sd(differences, 5, "+") if result is not reference else "—")
        found = difference(result, reference)
        cells.append("—" if result is reference else f"{found.low:+.5f} to {found.high:+.5f}")
        lines.append(table_row([*cells, f"{result.epochs:.1f}"]))
        covers = found.covers
    return [*lines, "", f"95 %: {covers}"]


if __name__ == "__main__":
    sys.exit(main())
