"""15_probe: leaks and shifts: columns that predict the label and should not,
splits that differ.

reads   artifacts/<profile>/10_prepare/
writes  artifacts/<profile>/15_probe/probe-<hash>/probe.json: findings, all
        measurements, slates, numbers of users; a finding is a warning, not an
        error
run     python -m pipeline.15_probe PROFILE [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import json

from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.probes import leaks, slates
from pipeline.runtime import cli
from pipeline.runtime.build import builds
from pipeline.runtime.progress import progress_bar


@builds(graph.probe)
def work(s: Settings, out: ArtifactWriter) -> dict:
    result = leaks.probe(open_store(require(graph.store(s))), progress_bar)
    (out / "probe.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"15_probe slates: {slates.as_text(result['slates'])}")
    if not result["labels_probed"]:
        print(
            "15_probe probed no labels: train's users do not make two parts with both labels each"
        )
    kinds = ", ".join(dict.fromkeys(measured["name"] for measured in result["measured"]))
    print(f"15_probe looked for {kinds}; found {len(result['findings']) or 'none'} of them")
    for finding in result["findings"]:
        print(f"15_probe warning: {finding['text']}")
    return {"measured": len(result["measured"]), "findings": len(result["findings"])}


if __name__ == "__main__":
    cli.stage(__doc__, work)
