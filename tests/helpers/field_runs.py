"""Files of fields like Frappe_x1's, and runs of bench.fields on them."""

import dataclasses
import random

from bench.fields.__main__ import main
from bench.fields.settings import data_set, network_settings
from pipeline.config.tables import merge

OF = data_set("frappe_x1")
HEADER = ",".join(("label", *OF.data.categorical))
REST = ",0" * (len(OF.data.categorical) - 3)


def lines(n, seed):
    """Rows whose label follows from the item, most of the time."""
    draw = random.Random(seed)
    rows = [(draw.randrange(5), draw.randrange(100, 109), draw.randrange(3)) for _ in range(n)]
    return [f"{int((i % 2 == 0) ^ (draw.random() < 0.1))},{u},{i},{d}{REST}" for u, i, d in rows]


def run(data, out, *options):
    arguments = (
        "--models",
        "final_1b",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--max-epochs",
        "1",
        *options,
    )
    return main(["frappe_x1", "--data", str(data), "--out", str(out), *arguments])


def changed(name, **sections):
    """A network on Frappe_x1 with other settings than the published ones."""
    own = merge(OF.sections[name], sections)
    return network_settings(name, dataclasses.replace(OF, sections=OF.sections | {name: own}))
