"""10_prepare: the challenge's files, checked, become the ragged store.

reads   train, valid, test, item_info (and item_feature) in the challenge's
        schema
writes  artifacts/<profile>/10_prepare/store-<hash>/: rows, histories, items
        (.npy), manifest.json
run     python -m pipeline.10_prepare PROFILE [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

from threadpoolctl import threadpool_limits

from features.store import prepare
from pipeline import graph
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds
from pipeline.runtime.progress import RowBars


@builds(graph.store)
def work(s: Settings, out: ArtifactWriter) -> dict:
    sizes = graph.store(s).settings["published_sizes"]
    with threadpool_limits(1):  # sums of matrix products depend on the number of threads
        manifest = prepare.write_store(
            out.path, graph.challenge_files(s), sizes, RowBars(), s.prepare
        )
    found = manifest["found"]
    for name in found.get("unpadded", ()):
        print(f"10_prepare {name}.parquet has histories without padding: each list is a history")
    if "items_without_levels" in found:
        print(
            f"10_prepare item_feature.parquet lacks {found['items_without_levels']} of"
            f" {found['items'] - 1} items: their own levels are 0, unknown"
        )
    rows = {name: split["rows"] for name, split in found["splits"].items()}
    return rows | {"items": found["items"], "histories": found["distinct_histories"]}


if __name__ == "__main__":
    cli.stage(__doc__, work)
