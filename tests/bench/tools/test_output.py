"""What all benchmarks print."""

import os

from bench.tools import output
from pipeline.artifacts import provenance


def test_one_line_describes_the_machine():
    machine = output.describe_machine()
    assert (machine["cores"], machine["commit"]) == (
        len(os.sched_getaffinity(0)),
        provenance.commit(),
    )
    assert f"{machine['cores']} cores" in output.machine_line(machine)
    assert output.table_header(["a", "b"]) == "| a | b |\n| --- | --- |"
