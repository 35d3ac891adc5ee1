"""Footers of parquet files are read by a separate process first.

If a footer's columns contradict its schema, Arrow (pyarrow 26) does not raise an error: it aborts
the process. So a separate process reads the footer first. It starts with the first file, serves
all later ones, and ends with this process, when its standard input is closed.
"""

import functools
import json
import resource
import subprocess
import sys
from pathlib import Path

BEGINS, ENDS = "begins\n", "ends\n"  # the separate process prints these around each file


def sound(path: Path) -> bool:
    """Whether Arrow can read the columns of a footer that it can open, without an abort."""
    process = _process()
    print(json.dumps(str(path.absolute())), file=process.stdin, flush=True)
    if process.stdout.readline() != BEGINS:
        raise RuntimeError(f"{__file__} does not run: exit code {process.wait()}")
    if process.stdout.readline() == ENDS:
        return True
    process.communicate()  # the separate process has aborted
    _process.cache_clear()
    return False


@functools.cache
def _process() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", __file__],  # -P: modules beside this file must not hide libraries
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where Arrow announces the abort
        text=True,
        start_new_session=True,  # Ctrl-C must not reach it
    )


def main() -> None:
    """The separate process: read the footers of the files whose names come in."""
    import pyarrow.parquet as pq

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(BEGINS, end="", flush=True)
        with pq.ParquetFile(json.loads(line)) as file:
            for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
                for i in range(group.num_columns):
                    group.column(i)
        print(ENDS, end="", flush=True)


if __name__ == "__main__":
    main()
