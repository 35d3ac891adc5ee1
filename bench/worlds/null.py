"""CV where there is nothing to learn: worlds whose labels are coin flips, so that
every AUC is 0.5.

Each world is a small sample; the labels of train and valid are replaced by
independent draws with their click rate. Networks and blenders are trained and
evaluated as in every run, once for each share of --stop-users. What a mean CV
exceeds 0.5 by is optimism: something was chosen or fitted on the rows that
judge it. `errors` counts standard errors of the mean over worlds; within 2 of
0.5, nothing is shown.

reads   nothing: the worlds are generated
writes  OUT/, as a run does: the same command resumes
run     python -m bench.worlds.null [key=value ...] [--worlds 16]
        [--stop-users 0,0.1]
        [--out artifacts/null_worlds]
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import polars as pl

from bench.tools.output import table_header, table_row
from bench.worlds import stages
from features.settings import SampleSettings
from features.sources import sample
from pipeline import graph
from pipeline.artifacts import spec
from pipeline.config import load as load_config
from pipeline.runtime import cli, usage
from pipeline.runtime.compute import prepare_training

SMALL = (
    "models=din,qin", "folds.n=3", "network.embedding_dim=8", "network.content_dim=16",
    "network.fit.batch_size=128", "network.fit.max_epochs=8", "train.backend=serial",
)  # fmt: skip
SIZES = {"users": 400, "valid_users": 100, "test_users": 50, "items": 200, "tags": 40}


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--worlds", type=int, default=16)
    parser.add_argument("--stop-users", default="0,0.1", help="shares, comma-separated")
    parser.add_argument("--out", type=Path, default=Path("artifacts/null_worlds"))
    arguments = parser.parse_intermixed_args(argv)
    return cli.exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Evaluate every world with every share, then print the table."""
    prepare_training(1)
    shares = arguments.stop_users.split(",")
    cvs: dict[str, list[dict[str, float]]] = {share: [] for share in shares}
    for seed in range(arguments.worlds):
        folder = arguments.out / f"world{seed}"
        if not folder.is_dir():
            write(folder, seed)
        for share in shares:
            own = [f"data.dir={folder / 'challenge'}", f"artifacts={arguments.out / 'artifacts'}"]
            own.append(f"folds.stop_users={share}")
            cvs[share].append(evaluated([*SMALL, *arguments.overrides, *own]))
    print("\n".join(markdown(cvs)), flush=True)


def write(folder: Path, seed: int) -> None:
    """Write the world's files, with labels that nothing tells."""
    scratch = folder.with_suffix(".part")
    sample.write(SampleSettings(**SIZES, seed=seed), scratch)
    rng = np.random.default_rng(seed)
    for name in ("train", "valid"):
        path = scratch / "challenge" / f"{name}.parquet"
        rows = pl.read_parquet(path, glob=False)
        flips = rng.random(len(rows)) < rows["label"].mean()
        rows.with_columns(label=pl.Series(flips, dtype=rows["label"].dtype)).write_parquet(path)
    scratch.rename(folder)


def evaluated(overrides: list[str]) -> dict[str, float]:
    """CV of every network and blender of a run of the sample's profile on other files."""
    s = load_config.load("sample", ["data.source=challenge", *overrides])
    stages.run(s, "60_blend")
    table = json.loads((spec.require(graph.blend(s)) / "blend.json").read_text(encoding="utf-8"))
    return {name: row["cv"] for name, row in (table["models"] | table["blenders"]).items()}


def markdown(cvs: dict[str, list[dict[str, float]]]) -> list[str]:
    """A row per network and blender; `cvs` holds the CVs of each world, by share."""
    heads = [(f"CV, folds.stop_users={share}", "errors") for share in cvs]
    lines = table_header(("", *(head for pair in heads for head in pair))).splitlines()
    for name in next(iter(cvs.values()))[0]:
        cells = [name]
        for worlds in cvs.values():
            values = [world[name] for world in worlds]
            mean, error = statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5
            cells += [f"{mean:.4f} ± {error:.4f}", f"{(mean - 0.5) / error:+.1f}"]
        lines.append(table_row(cells))
    return lines


if __name__ == "__main__":
    sys.exit(main())
