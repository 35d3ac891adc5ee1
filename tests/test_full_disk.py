"""Full disks, folders without permission, too little memory: one line, nothing half-written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from pipeline.artifacts import store as artifacts
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.runtime import cli

ROOT = Path(__file__).resolve().parents[1]


def spec_in(folder: Path) -> ArtifactSpec:
    return ArtifactSpec("10_prepare", "store", folder)


def test_a_folder_that_may_not_be_written_is_named(tmp_path, capsys):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)

    def work():
        with artifacts.write_artifact(spec_in(closed / "artifacts")) as out:
            (out / "a").write_text("x")

    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write anywhere
    try:
        code = cli.exit_code(work)
    finally:
        os.seteuid(user)
    message = capsys.readouterr().err
    assert (code, len(message.splitlines())) == (2, 1)
    assert "Permission denied" in message
    assert "artifacts" in message
    assert "fix its permissions, or name others: artifacts=DIR" in message
    assert not list(closed.iterdir())


WRITERS = """
import resource, sys
from pathlib import Path
import numpy, polars, pyarrow, pyarrow.parquet, torch
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.artifacts.store import write_artifact
from pipeline.runtime import cli

TABLE = pyarrow.table({"a": numpy.random.rand(10**5)})
WRITE = {
    "numpy": lambda path: numpy.save(path, numpy.zeros(10**6)),
    "polars": lambda path: polars.DataFrame({"a": range(10**5)}).write_parquet(path),
    "torch": lambda path: torch.save({"a": torch.rand(10**6)}, path),
    "pyarrow": lambda path: pyarrow.parquet.write_table(TABLE, path),
    "text": lambda path: path.write_text("x" * 10**6),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
for name, write in WRITE.items():
    def work():
        with write_artifact(ArtifactSpec("10_prepare", name, Path(sys.argv[1]))) as out:
            write(out / "a.npy")
    print(name, cli.exit_code(work))
"""


def test_a_full_disk_is_named_and_nothing_is_published(tmp_path):
    """A limit on file sizes stands for a full disk: both make writes come back short."""
    there = tmp_path / "there"
    command = [sys.executable, "-c", WRITERS, str(there)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    names = ("numpy", "polars", "torch", "pyarrow", "text")
    assert done.stdout.splitlines() == [f"{name} 2" for name in names], done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(names)
    message = f"error: {there} cannot be written: the disk is full or a limit is reached"
    assert all(line.startswith(message) for line in lines)
    assert not list(there.iterdir())


def test_a_stage_names_a_full_disk(tmp_path):
    arguments = ["sample", "data.users=300", "data.items=200", f"artifacts={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.00_data", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1)),
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written: the disk is full or a limit is reached" in done.stderr
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_too_little_memory_ends_in_one_line(capsys):
    assert cli.exit_code(lambda: np.empty(1 << 50)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: this machine's memory is not enough")
    assert len(message.splitlines()) == 1
