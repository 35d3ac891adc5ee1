"""Whether a change moved the scores: two blends on official valid, paired by row,
as Markdown.

reads   BEFORE and AFTER: two folders of artifacts/<profile>/60_blend/ on the
        same data, wherever they lie
run     python -m bench.compare BEFORE AFTER

`python -m pipeline runs compare` does the same for two runs by their names,
and prints what differs in their settings. What the rows and the intervals
mean: pipeline/runs/paired.py.
"""

import argparse
import sys
from pathlib import Path

from bench.tools.output import table_header, table_row
from pipeline.runs import paired
from pipeline.runtime import usage
from pipeline.runtime.cli import exit_code


def main(argv: list[str] | None = None) -> int:
    parser = usage.parser(__doc__)
    for name in ("before", "after"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args(argv)
    return exit_code(lambda: compare(arguments))


def compare(arguments: argparse.Namespace) -> None:
    """Print the table."""
    rows = paired.differences(arguments.before, arguments.after)
    for number, row in enumerate(rows):
        if number == 0:
            print(table_header(("valid AUC", "after", "before", "difference", "95 %", "covers")))
        interval = f"{row.low:+.5f} to {row.high:+.5f}"
        aucs = (f"{row.after:.5f}", f"{row.before:.5f}", f"{row.difference:+.5f}")
        print(table_row((row.name, *aucs, interval, row.covers)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
