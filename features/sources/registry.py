"""The sources of rows: what a source is, and the list of them.

A source makes a folder in the challenge's schema (features/store/schema.py) out of nothing or out
of files in another format. To add one:

1. features/settings.py: its settings, a frozen dataclass
2. features/sources/<name>.py, a module with

       write(settings, folder) -> dict[str, int]

   which writes folder/challenge/{train,valid,test,item_info}.parquet (and item_feature.parquet, if
   items have levels or text and image vectors) and, if the labels of test are known,
   folder/hidden_labels.parquet (ID, label); it returns counts to print, such as rows by file
3. DATA_SOURCES below: one entry under the name that `data.source` chooses
4. pipeline/profiles/<profile>.toml, with `[data]` and `source = "<name>"`

Equal settings and equal input files must give equal bytes, since artifacts are named by them. A
source reads only the files that `inputs` lists, and refuses bad input with an InputError.

tests/features/sources/test_registry.py checks every source. This module imports nothing heavy, so
that a command line can look at DATA_SOURCES; `write` loads the module of its source.
"""

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from features.settings import ReleaseSettings, SampleSettings
from features.sources.microlens_release.paths import find


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """One source of rows, as the pipeline sees it.

    settings  class of its settings
    module    where `write` is
    paths     settings that name input files: results depend on the files' bytes, not on these names
    inputs    the input files of some settings, always in the same order
    """

    settings: type
    module: str
    paths: tuple[str, ...] = ()
    inputs: Callable[[Any], list[Path]] = lambda settings: []

    def write(self, settings: Any, folder: Path) -> dict[str, int]:
        """Write the source's files into `folder`; see the module docstring."""
        module = importlib.import_module(self.module)  # before the limit, which it would escape
        with threadpool_limits(1):  # sums of matrix products depend on the number of threads
            counts: dict[str, int] = module.write(settings, folder)
        return counts

    def content_settings(self, settings: Any) -> dict[str, Any]:
        """The settings that the written bytes depend on, besides the bytes of `inputs`."""
        return {name: v for name, v in asdict(settings).items() if name not in self.paths}


DATA_SOURCES = {
    "sample": DataSource(settings=SampleSettings, module="features.sources.sample"),
    "release": DataSource(
        settings=ReleaseSettings,
        module="features.sources.microlens_release.convert",
        paths=("dir", "embeddings"),
        inputs=lambda settings: find(settings.dir, settings.embeddings),
    ),
}


def source_of(settings: object) -> tuple[str, DataSource] | None:
    """The name and the source of some settings; None where they are those of no source."""
    found = (
        (name, source) for name, source in DATA_SOURCES.items() if type(settings) is source.settings
    )
    return next(found, None)
