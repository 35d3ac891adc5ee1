"""25_prefixes: earlier items of the train users' histories, as further rows that
networks train on; only where a network has fit.prefixes.

They judge nothing and choose no epoch, and leave with the user's fold.

reads   artifacts/<profile>/10_prepare/
writes  artifacts/<profile>/25_prefixes/last<N>-<hash>/
        user, item, likes, views, history, label.npy: as the store's rows;
        begin, end.npy: each history, as a slice of the store's values;
        row.npy: a train row of the same user, whose fold and part are theirs;
        rank.npy: 0 for a user's newest click; prefixes.json: how the
        negatives were drawn, and counts
run     python -m pipeline.25_prefixes PROFILE network.fit.prefixes=6
        [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

from features import prefixes
from features.errors import InputError
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds


def work(s: Settings, force: bool) -> None:
    if not graph.most_prefixes(s):
        raise InputError(
            "no network of this run trains on prefixes: set how many, such as"
            f" {s.models[0]}.fit.prefixes=6"
        )
    write(s, force)


@builds(graph.prefixes)
def write(s: Settings, out: ArtifactWriter) -> dict:
    rows, facts = prefixes.build(open_store(require(graph.store(s))), graph.most_prefixes(s))
    prefixes.write(out.path, rows, facts)
    out.report |= facts
    for note in notes(facts):
        print(f"25_prefixes {note}")
    return {
        "rows": len(rows),
        "clicks": sum(facts["prefixes"]),
        "users": facts["users"],
        "negatives": facts["negatives_per_click"],
        "by_popularity": facts["share_by_popularity"],
    }


def notes(facts: dict) -> list[str]:
    """What the stage could not make."""
    found, k = [], facts["negatives_per_click"]
    if facts["users_left_out"]:
        found.append(
            f"{facts['users_left_out']} users have no prefixes: they leave fewer than {k} items to"
            " draw negatives from"
        )
    if not sum(facts["prefixes"]):
        found.append("there are no prefixes: fits have the train rows alone")
    return found


if __name__ == "__main__":
    cli.stage(__doc__, work)
