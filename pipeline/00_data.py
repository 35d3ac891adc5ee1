"""00_data: a source becomes a folder in the challenge's schema.

reads   nothing (sample) | a MicroLens release | the challenge's files, which stay where they are
writes  artifacts/<profile>/00_data/<source>-<hash>/challenge/*.parquet, hidden_labels.parquet
run     python -m pipeline.00_data PROFILE [key=value ...]
        python -m pipeline.00_data microlens_1m --download     fetches the competition's files first
"""

import sys

from threadpoolctl import threadpool_limits

from features.sources.registry import source_of
from features.store import schema
from pipeline import graph
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.data import download as downloading
from pipeline.runtime import cli
from pipeline.runtime.build import build


def work(s: Settings, force: bool, download: bool = False) -> None:
    if download:
        downloading.run(s, force)
    place = graph.data(s)
    if place is None:
        found = graph.challenge_files(s)
        print(f"00_data {s.data.dir} {' '.join(path.name for path in found.values())} found")
        return
    _, source = source_of(s.data)

    def fill(out: ArtifactWriter) -> dict:
        with threadpool_limits(1):  # sums of matrix products depend on the number of threads
            return source.write(s.data, out.path)

    build(place, force, fill)
    schema.files(place.path / "challenge")


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--download", action="store_true", help="from data.url to data.dir")
    given = parser.parse_intermixed_args()
    load = cli.load
    sys.exit(cli.exit_code(lambda: work(load(given), given.force, given.download)))


if __name__ == "__main__":
    main()
