"""00_data: a source becomes a folder in the challenge's schema.

reads   nothing (sample) | a MicroLens release | the challenge's files, which
        stay where they are
writes  artifacts/<profile>/00_data/<source>-<hash>/challenge/*.parquet,
        hidden_labels.parquet
run     python -m pipeline.00_data PROFILE [key=value ...]
        python -m pipeline.00_data microlens_1m --download
        which fetches the competition's files first
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import argparse

from features.sources.registry import source_of
from pipeline import graph
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.data import download
from pipeline.runtime import cli
from pipeline.runtime.build import builds


def work(s: Settings, force: bool) -> None:
    if graph.data(s) is not None:
        write(s, force)
    files = graph.challenge_files(s)
    if graph.data(s) is None:
        print(f"00_data {s.data.dir} {' '.join(path.name for path in files.values())} found")


@builds(graph.data)
def write(s: Settings, out: ArtifactWriter) -> dict:
    _, source = source_of(s.data)
    return source.write(s.data, out.path)


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--download", action="store_true", help="from data.url to data.dir")
    cli.main(parser, run)


def run(arguments: argparse.Namespace) -> None:
    s = cli.load(arguments)
    if arguments.download:
        download.run(s, arguments.force)
    work(s, arguments.force)


if __name__ == "__main__":
    main()
