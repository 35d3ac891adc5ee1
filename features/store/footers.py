"""Footers of parquet files, looked at by a process of its own.

Where a footer's columns contradict its schema, Arrow (pyarrow 26) raises nothing when it is asked
for them, but aborts the process that asks. So another process asks first. It is started when one is
needed, stays for the files that follow, and ends with this process, when its input does.
"""

import functools
import json
import resource
import subprocess
import sys
from pathlib import Path

BEGINS, ENDS = "begins\n", "ends\n"  # what it says of every file


def sound(path: Path) -> bool:
    """Whether Arrow, which can open this file, can look at the columns in its footer."""
    other = _other()
    print(json.dumps(str(path.absolute())), file=other.stdin, flush=True)
    if other.stdout.readline() != BEGINS:
        raise RuntimeError(f"{__file__} does not run: exit code {other.wait()}")
    if other.stdout.readline() == ENDS:
        return True
    other.communicate()  # it is gone
    _other.cache_clear()
    return False


@functools.cache
def _other() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", __file__],  # -P: the names beside it are not the library's
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where an abort is announced
        text=True,
        start_new_session=True,  # a Ctrl-C is not for it
    )


def look() -> None:
    """Look at the files whose names come in."""
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
    look()
