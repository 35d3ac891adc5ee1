"""90_score: any rows, scored by any checkpoint: a published one, or one of ours.

reads   --checkpoint and, with --format fuxictr, --settings: FuxiCTR's state_dict (QIN, DIN,
        Transformer_DCN) and a JSON of its hyperparameters; with --format ours, a folder of
        artefacts/<profile>/50_train/ or the model.pt in it
        --rows   parquet in the challenge's schema; without ID (train, valid) rows count from 0
        --items  item_info.parquet, or a store of artefacts/<profile>/10_prepare/
writes  --out: ID, probability, in the order of the rows; .csv or .parquet, by its ending
run     python -m pipeline.90_score --checkpoint qin.model --format fuxictr \\
            --settings hyperparameters.json --rows test.parquet --items item_info.parquet \\
            --out predictions.parquet
"""

import argparse
import sys
import time
from pathlib import Path

from pipeline import command, scoring
from pipeline.scoring import Job


def work(job: Job) -> None:
    started = time.perf_counter()
    scored = scoring.run(job)
    said = f"{len(scored)} rows -> {job.out} mean={scored['probability'].mean():.4f}"
    print(f"90_score {said} ({time.perf_counter() - started:.1f} s)", flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="90_score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    made.add_argument("--format", choices=scoring.FORMATS, required=True)
    made.add_argument("--settings", type=Path, metavar="FILE", help="with --format fuxictr")
    made.add_argument("--rows", type=Path, required=True, metavar="FILE")
    made.add_argument("--items", type=Path, required=True, metavar="FILE")
    made.add_argument("--out", type=Path, required=True, metavar="FILE")
    made.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:<n>")
    return made


def main(argv: list[str] | None = None) -> None:
    job = Job(**vars(parser().parse_args(argv)))
    sys.exit(command.exit_code(lambda: work(job)))


if __name__ == "__main__":
    main()
