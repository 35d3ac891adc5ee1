"""10_prepare: the challenge's files, checked, become the ragged store.

reads   train, valid, test, item_info (and item_feature) in the challenge's schema
writes  artefacts/<profile>/10_prepare/store-<hash>/: rows, histories, items (.npy), manifest.json
run     python -m pipeline.10_prepare PROFILE [key=value ...]
"""

from threadpoolctl import threadpool_limits

from features import prepare
from pipeline import command, places
from pipeline.artefacts import Publication
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    place = places.store(s)

    def fill(out: Publication) -> dict:
        sizes = place.settings["published_sizes"]
        with threadpool_limits(1):  # sums of matrix products depend on the number of threads
            manifest = prepare.write_store(
                out.path, places.challenge_files(s), sizes, command.RowBars(), s.prepare
            )
        found = manifest["found"]
        rows = {name: split["rows"] for name, split in found["splits"].items()}
        return rows | {"items": found["items"], "histories": found["distinct_histories"]}

    command.make(place, force, fill)


if __name__ == "__main__":
    command.stage(__doc__, work)
