"""Every data source keeps the contract of features/sources/registry.py."""

import dataclasses
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.settings import ChallengeSettings, ReleaseSettings, SampleSettings
from features.sources.registry import DATA_SOURCES, source_of
from features.store import prepare, schema
from pipeline.config import paths
from pipeline.config.load import load
from tests.helpers.release import write_release

HELPERS = {
    "__init__", "registry", "sample_world", "sample_slates", "planted_leaks", "planted_items",
    "planted_histories", "microlens_release",
}  # fmt: skip


def release(folder: Path) -> ReleaseSettings:
    write_release(folder)
    np.save(folder / "text.npy", np.random.default_rng(0).normal(size=(60, 4)))
    return ReleaseSettings(dir=str(folder), embeddings=(str(folder / "text.npy"),))


EXAMPLES = {  # small settings of every source; their input goes into a new folder
    "sample": lambda folder: SampleSettings(users=60, valid_users=20, test_users=20, items=200),
    "release": release,
}


@pytest.fixture(params=DATA_SOURCES)
def example(request, tmp_path):
    name = request.param
    assert name in EXAMPLES, (
        f"tests/features/sources/test_registry.py: EXAMPLES has no settings of {name!r}"
    )
    return DATA_SOURCES[name], EXAMPLES[name](tmp_path / "input")


def test_every_file_of_sources_is_listed():
    folder = Path(inspect.getfile(source_of)).parent
    listed = {source.module.split(".")[2] for source in DATA_SOURCES.values()}
    unlisted = {path.stem for path in folder.glob("*.py")} - listed - HELPERS
    assert not unlisted, f"add {unlisted} to DATA_SOURCES in features/sources/registry.py"


def test_every_source_has_a_profile():
    profiles = [load(path.stem, []).data for path in paths.PROFILES.glob("*.toml")]
    for name, source in DATA_SOURCES.items():
        assert any(type(data) is source.settings for data in profiles), (
            f'no file of pipeline/profiles/ has source = "{name}" in [data]'
        )


def test_a_source_is_found_by_its_settings(example):
    source, settings = example
    assert source_of(settings)[1] is source
    assert source_of(ChallengeSettings()) is None
    assert {*source.paths} <= {field.name for field in dataclasses.fields(source.settings)}
    assert list(inspect.signature(importlib.import_module(source.module).write).parameters) == [
        "settings",
        "folder",
    ]


def test_what_a_source_writes_becomes_a_store_and_labels_of_test_are_hidden(example, tmp_path):
    source, settings = example
    counts = source.write(settings, tmp_path / "out")
    files = schema.files(tmp_path / "out" / "challenge")
    prepare.write_store(tmp_path / "store", files, published_sizes=False)
    test = pq.read_table(files["test"])
    assert counts["test"] == len(test)
    assert "label" not in test.column_names
    hidden = pq.read_table(tmp_path / "out" / "hidden_labels.parquet")
    assert hidden["ID"].equals(test["ID"])
    assert "label" in hidden.column_names


def test_equal_settings_give_equal_bytes(example, tmp_path):
    source, settings = example
    written = []
    for name in ("first", "second"):
        source.write(settings, tmp_path / name)
        paths = sorted((tmp_path / name).rglob("*.parquet"))
        written.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in paths])
    assert written[0] == written[1]


def test_results_depend_on_the_bytes_of_inputs_and_not_on_their_paths(example):
    source, settings = example
    assert all(path.is_file() for path in source.inputs(settings))
    kept = source.content_settings(settings)
    assert kept.keys() | {*source.paths} == dataclasses.asdict(settings).keys()
    assert bool(source.inputs(settings)) == bool(source.paths)


def test_looking_at_the_sources_loads_no_library():
    code = (
        "import sys; import features.sources.registry;"
        " print(sys.modules.keys() & {'numpy', 'polars', 'pyarrow', 'sklearn'} or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "none\n", done.stderr


THREADS = """
import sys, types
from pathlib import Path
from threadpoolctl import threadpool_info
from features.sources.registry import DataSource

def write(settings, folder):
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}

class Finder:  # the source's module loads linear algebra, as the release's does
    def find_spec(self, name, path=None, target=None):
        if name == "a_source":
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        import scipy.linalg
        module.write = write

sys.meta_path.insert(0, Finder())
assert "scipy" not in sys.modules
print(*DataSource(settings=object, module="a_source").write(None, Path()).values())
"""


def test_libraries_that_a_source_loads_have_one_thread_while_it_writes():
    """The bytes of matrix products depend on the number of threads."""
    env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", THREADS]
    env |= {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, cwd=paths.REPOSITORY, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"1"}
