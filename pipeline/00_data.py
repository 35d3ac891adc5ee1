"""00_data: a source becomes a folder in the challenge's schema.

reads   nothing (sample) | a MicroLens release | the challenge's files, which stay where they are
writes  artefacts/<profile>/00_data/<source>-<hash>/challenge/*.parquet, hidden_labels.parquet
run     python -m pipeline.00_data PROFILE [key=value ...]
        python -m pipeline.00_data microlens_1m --download     fetches the competition's files first
"""

import sys

from threadpoolctl import threadpool_limits

from features import challenge, release, sample
from features.release_rows import ReleaseSettings
from pipeline import command, downloading, places
from pipeline.artefacts import Publication
from pipeline.settings import Settings


def work(s: Settings, force: bool, download: bool = False) -> None:
    if download:
        downloading.run(s, force)
    place = places.data(s)
    if place is None:
        found = places.challenge_files(s)
        print(f"00_data {s.data.dir} {' '.join(path.name for path in found.values())} found")
        return
    source = release if isinstance(s.data, ReleaseSettings) else sample

    def fill(out: Publication) -> dict:
        with threadpool_limits(1):  # sums of matrix products depend on the number of threads
            return source.write(s.data, out.path)

    command.make(place, force, fill)
    challenge.files(place.path / "challenge")


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--download", action="store_true", help="from data.url to data.dir")
    given = parser.parse_intermixed_args()
    load = command.load
    sys.exit(command.exit_code(lambda: work(load(given), given.force, given.download)))


if __name__ == "__main__":
    main()
