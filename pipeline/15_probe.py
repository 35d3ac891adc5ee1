"""15_probe: leaks and shifts: what tells the label that should not, and how the splits differ.

reads   artefacts/<profile>/10_prepare/
writes  artefacts/<profile>/15_probe/probe-<hash>/probe.json: findings, everything measured, and of
        how many users; a finding is a warning, not an error
run     python -m pipeline.15_probe PROFILE [key=value ...]
"""

import json

from features.store import open_store
from pipeline import command, places, probing
from pipeline.artefacts import Publication, need
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    place = places.probe(s)

    def fill(out: Publication) -> dict:
        found = probing.probe(open_store(need(places.store(s))), command.progress)
        (out / "probe.json").write_text(json.dumps(found, indent=1) + "\n")
        for finding in found["findings"]:
            print(f"15_probe warning: {finding['text']}")
        return {"measured": len(found["measured"]), "findings": len(found["findings"])}

    command.make(place, force, fill)


if __name__ == "__main__":
    command.stage(__doc__, work)
