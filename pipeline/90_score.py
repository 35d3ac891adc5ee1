"""90_score: any rows, scored by any checkpoint: a published one, or one of ours.

reads   --checkpoint and, with --format fuxictr, --settings: FuxiCTR's state_dict (QIN, DIN,
        Transformer_DCN) and a JSON of its hyperparameters; with --format ours, a folder of
        artifacts/<profile>/50_train/ or the model.pt in it
        --rows   parquet in the challenge's schema; without ID (train, valid) rows count from 0
        --items  item_info.parquet, or a store of artifacts/<profile>/10_prepare/
writes  --out: ID, probability, in the order of the rows; .csv or .parquet, by its ending
        --export, in the place of --rows and --out: a folder with the network for ONNX Runtime
prints  --latency, in their place: how long one user and 1, 100, 1000 candidates take on one CPU
        thread; without --checkpoint, of published networks with random weights
run     python -m pipeline.90_score --checkpoint qin.model --format fuxictr \\
            --settings hyperparameters.json --rows test.parquet --items item_info.parquet \\
            --out predictions.parquet
        python -m pipeline.90_score --checkpoint artifacts/<profile>/50_train/<fit> \\
            --format ours --items item_info.parquet --export serving
        python -m pipeline.90_score --latency qin
"""

import argparse
import sys
import time
from pathlib import Path

from pipeline.inference import export, latency, score_rows
from pipeline.inference.score_rows import ScoreArgs
from pipeline.runtime import cli


def work(job: ScoreArgs) -> None:
    score_rows.check_words(job)
    started = time.perf_counter()
    if job.latency is not None:
        latency.run(job)
        said = "--latency"
    elif job.export is not None:
        network, s = score_rows.network_alone(job)
        difference = export.export(network, s.max_len, job.export)
        said = f"-> {job.export} difference={difference:.1e}"
    else:
        scored = score_rows.run(job)
        said = f"{len(scored)} rows -> {job.out} mean={scored['probability'].mean():.4f}"
    print(f"90_score {said} ({time.perf_counter() - started:.1f} s)", flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="90_score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--checkpoint", type=Path, metavar="FILE")
    made.add_argument("--format", choices=score_rows.FORMATS)
    made.add_argument("--settings", type=Path, metavar="FILE", help="with --format fuxictr")
    made.add_argument("--rows", type=Path, metavar="FILE")
    made.add_argument("--items", type=Path, metavar="FILE")
    made.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:<n>")
    made.add_argument("--history", type=int, metavar="N", help="of --latency; default: max_len")
    wanted = made.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--out", type=Path, metavar="FILE")
    wanted.add_argument("--export", type=Path, metavar="FOLDER")
    wanted.add_argument("--latency", nargs="*", metavar="NAME", help=", ".join(latency.PUBLISHED))
    return made


def main(argv: list[str] | None = None) -> None:
    job = ScoreArgs(**vars(parser().parse_args(argv)))
    sys.exit(cli.exit_code(lambda: work(job)))


if __name__ == "__main__":
    main()
