"""bench.gpu as a user types it, at toy sizes on the CPU: every part but the sample."""

import json
import re
import subprocess

import pytest

from bench.gpu.parts import PARTS
from tests.helpers.tiny_runs import ROOT
from tests.helpers.toy_gpu import NAMES, command

NO_ROWS = {"real", "graphs", "triton", "compiled"}  # without a store, or without CUDA
EMPTY = {  # columns of the other parts that have no figure here
    "epochs": {"device MiB"},
    "kernels": {
        "host waits", "kernels, ms", "products", "Adam, clipping, L2", "bags and embeddings",
        "sorting and batches", "batch norm", "dropout", "gather and scatter", "reductions",
        "copies and fills", "elementwise", "other",
    },
    "variants": {"device MiB"},
    "padded": {"device MiB"},
    "scores": {"AUC sd", "difference sd"},  # a single seed
}  # fmt: skip
CHECKED = {
    "networks": 12, "fields": 6, "operators": 8, "repeat": 6, "kernels": 3, "attention": 1,
    "serving": 6, "torchrun": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The parts of gpu.json by name, gpu.md, and the last line of a run."""
    out = tmp_path_factory.mktemp("toy") / "out"
    done = subprocess.run(command(out), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    parts = json.loads((out / "gpu.json").read_text())["parts"]
    by_name = {part["name"]: part for part in parts}
    return by_name, (out / "gpu.md").read_text(), done.stdout.splitlines()[-1]


def test_all_parts_run_to_their_end(toy):
    parts, _, last = toy
    assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(NAMES, "done")
    assert re.fullmatch(r"gpu: parts 18 done; all checks hold; \d+ s; \S+/out/gpu\.md", last)


def test_every_check_holds(toy):
    checks = {name: [row["ok"] for row in p["rows"] if "ok" in row] for name, p in toy[0].items()}
    assert {name: len(found) for name, found in checks.items() if found} == CHECKED
    assert all(ok is True for found in checks.values() for ok in found)


def test_a_cpu_measures_all_but_what_needs_cuda(toy):
    parts, *_ = toy
    assert {name for name, part in parts.items() if not part["rows"]} == NO_ROWS
    empty = {
        name: {key for key in part["rows"][0] if all(row[key] is None for row in part["rows"])}
        for name, part in parts.items()
        if part["rows"] and name != "serving"  # p99 needs 100 requests: a matter of speed
    }
    assert {name: keys for name, keys in empty.items() if keys} == EMPTY


def test_the_rows_of_a_part_have_the_same_columns(toy):
    for part in toy[0].values():
        assert len({tuple(row) for row in part["rows"]}) <= 1, part["name"]


def test_every_part_has_its_table(toy):
    parts, text, _ = toy
    sections = text.split("\n### ")[1:]
    titles = {part.name: part.title for part in PARTS}
    for section, (name, part) in zip(sections, parts.items(), strict=True):
        assert section.startswith(f"{titles[name]}\n\n`--parts {name}`: done in ")
        n_lines = section.count("\n|")
        assert n_lines == (len(part["rows"]) + 2 if part["rows"] else 0)
