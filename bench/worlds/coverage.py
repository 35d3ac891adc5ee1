"""How often the hidden AUC of a submission lies in its forecast (cv/forecast.py),
over many worlds.

reads   nothing: each seed of the sample is a small world of its own
writes  artifacts and submissions below --folder; run it again to resume
run     python -m bench.worlds.coverage [--worlds 40] [--first-seed 0]
        [--rules research,strict] [--folder artifacts/coverage] [key=value ...]

Each world goes through the pipeline's stages to 70_submit. `covered` counts
the worlds whose hidden AUC lies between the forecast's low and high end,
`below` and `above` the others.
"""

import argparse
import contextlib
import io
from statistics import fmean

from bench.tools.output import describe_machine, machine_line, table_header, table_row
from bench.worlds import stages
from pipeline import graph, source_files
from pipeline.artifacts.json_files import read_json
from pipeline.config.load import load
from pipeline.config.settings import Settings
from pipeline.reporting import compute_scores
from pipeline.reporting.scores import submitted_row
from pipeline.runtime import cli, usage

SMALL = (
    "data.users=600", "data.valid_users=400", "data.test_users=800", "data.items=400",
    "models=din,final", "network.embedding_dim=8", "network.content_dim=16", "din.mlp.hidden=16",
    "final.final.block1=16", "final.final.block2=16", "network.fit.max_epochs=4",
    "network.fit.batch_size=64", "network.fit.learning_rate=5e-3", "train.backend=serial",
)  # fmt: skip
COLUMNS = ("rules", "worlds", "covered", "share", "below", "above", "mean width", "mean AUC")


def main() -> None:
    parser = usage.parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rules", default="research,strict")
    parser.add_argument("--folder", default="artifacts/coverage")
    cli.main(parser, run)


def run(arguments: argparse.Namespace) -> None:
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.worlds)
    found: dict[str, list[dict]] = {rules: [] for rules in arguments.rules.split(",")}
    print(machine_line(describe_machine()), flush=True)
    for seed in seeds:
        for rules, rows in found.items():
            s = settings_of(seed, rules, arguments.folder, arguments.overrides)
            rows.append(world(s))
            print(line(f"{rules} seed {seed}", rows[-1]), flush=True)
    print(f"\n{table_header(COLUMNS)}")
    for rules, rows in found.items():
        print(table_row([rules, *summary(rows)]))


def settings_of(seed: int, rules: str, folder: str, overrides: list[str]) -> Settings:
    """The settings of one world."""
    places = [f"artifacts={folder}/artifacts", f"submissions={folder}/submissions"]
    ours = [f"data.seed={seed}", f"train.seeds={seed}", f"rules={rules}"]
    more = ["folds.n=2", "blend.slates=off"] if rules == "research" else []  # strict has neither
    return load("sample", [*SMALL, *places, *ours, *more, *overrides])


def world(s: Settings) -> dict[str, float]:
    """auc, low, high of the forecast, and the hidden AUC, of one world."""
    with contextlib.redirect_stdout(io.StringIO()):
        stages.run(s, "70_submit")
    scores = compute_scores.compute(graph.blend(s).path, source_files.hidden_labels(s))
    forecast = read_json(graph.submission(s).path / "manifest.json")["forecast"]
    return forecast | {"hidden": submitted_row(scores)["hidden"]}


def line(name: str, row: dict[str, float]) -> str:
    inside = row["low"] <= row["hidden"] <= row["high"]
    return (
        f"{name}: hidden {row['hidden']:.4f}, forecast {row['auc']:.4f} ({row['low']:.4f} to"
        f" {row['high']:.4f}){'' if inside else ' MISSED'}"
    )


def summary(rows: list[dict[str, float]]) -> list[object]:
    """The cells of COLUMNS after the first."""
    below = sum(row["hidden"] < row["low"] for row in rows)
    above = sum(row["hidden"] > row["high"] for row in rows)
    covered = len(rows) - below - above
    width = fmean(row["high"] - row["low"] for row in rows)
    auc = fmean(row["hidden"] for row in rows)
    share = f"{covered / len(rows):.1%}"
    return [len(rows), covered, share, below, above, f"{width:.4f}", f"{auc:.4f}"]


if __name__ == "__main__":
    main()
