"""90_score: scores any rows with a whole run, or with one checkpoint.

reads   --run    a run, by its name or the folder of its submission: all of its
                 fits, its features and its blender
        --checkpoint, instead: one network, a published one or one of ours
                 --format fuxictr: FuxiCTR's state_dict (QIN, DIN,
                 Transformer_DCN), and --settings, its hyperparameters as JSON
                 --format ours: a folder of artifacts/<profile>/50_train/, or
                 the model.pt in it
        --items  with --checkpoint: item_info.parquet, or a store of
                 artifacts/<profile>/10_prepare/
        --rows   parquet in the challenge's schema; rows without ID (train,
                 valid) are numbered from 0
writes  --out    the rows' scores, in their order; .csv or .parquet. Of a run
                 ID, Task2, as its prediction.csv; of a network ID, probability
        --export, instead of --rows and --out: a folder for ONNX Runtime, with
                 an example that needs nothing of this project
prints  --latency, instead of these: how long one user and 1, 100, 1000
        candidates take on one CPU thread; without --checkpoint, for published
        networks with random weights
run     python -m pipeline.90_score --run latest \\
            --rows test.parquet --out scores.csv
        python -m pipeline.90_score --checkpoint qin.model --format fuxictr \\
            --settings hyperparameters.json --items item_info.parquet \\
            --rows test.parquet --out scores.parquet
        python -m pipeline.90_score --format ours --items item_info.parquet \\
            --checkpoint artifacts/<profile>/50_train/<fit> --export serving
        python -m pipeline.90_score --latency qin
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import argparse
import shlex
import time
from pathlib import Path

from pipeline.inference import arguments
from pipeline.inference.arguments import ScoreArgs
from pipeline.runtime import cli, usage


def work(args: ScoreArgs) -> None:
    arguments.check(args)
    from pipeline.inference import export, latency, score_rows, score_run  # torch: slow to import

    started = time.perf_counter()
    if args.latency is not None:
        latency.run(args)
        result = "--latency"
    elif args.export is not None:
        difference = export.run(args)
        result = f"-> {args.export} difference={difference:.1e}"
        print(f"try it: python {shlex.quote(str(args.export / export.EXAMPLE))}", flush=True)
    else:
        scores = (score_rows if args.run is None else score_run).run(args)
        score_rows.write(scores, args.out)
        result = f"{len(scores)} rows -> {args.out} mean={scores.to_series(1).mean():.4f}"
    print(f"90_score {result} ({time.perf_counter() - started:.1f} s)", flush=True)


WRITES = "       one of: --out FILE, --export FOLDER, --latency [NAME ...]"


def build_parser() -> argparse.ArgumentParser:
    parser = usage.parser(__doc__)
    parser.usage = f"{parser.prog} [option ...]\n{WRITES}"
    parser.add_argument("--run", metavar="NAME", help="a run, or the folder of its submission")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE")
    parser.add_argument("--format", choices=arguments.FORMATS)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="with --format fuxictr")
    parser.add_argument("--rows", type=Path, metavar="FILE")
    parser.add_argument("--items", type=Path, metavar="FILE")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:<n>")
    parser.add_argument("--history", type=int, metavar="N", help="of --latency; default: max_len")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--out", type=Path, metavar="FILE")
    task.add_argument("--export", type=Path, metavar="FOLDER")
    task.add_argument("--latency", nargs="*", metavar="NAME", help=", ".join(arguments.PUBLISHED))
    return parser


def main(argv: list[str] | None = None) -> None:
    cli.main(build_parser(), lambda parsed: work(ScoreArgs(**vars(parsed))), argv)


if __name__ == "__main__":
    main()
