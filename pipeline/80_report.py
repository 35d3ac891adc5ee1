"""80_report: what the run is worth: CV, official valid, hidden test and Bayes, and why.

reads   artifacts/<profile>/: 60_blend/, 50_train/, 30_features/, the records of every stage, tuning
        and probes of this run where there are any; the submission; submissions/LEADERBOARD.md; the
        hidden test labels where this world has them (no other stage opens those)
writes  artifacts/<profile>/80_report/report-<hash>/report.html, scores.json;
        a row of submissions/LEADERBOARD.md
run     python -m pipeline.80_report PROFILE [--public 0.9798] [--sentence "..."] [key=value ...]
"""

from pipeline.runtime import signals

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted

import functools
import json

from features.errors import InputError
from pipeline import graph, reporting
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.reporting import leaderboard, scores
from pipeline.reporting.run import gather
from pipeline.runtime import cli
from pipeline.runtime.build import build


def work(
    s: Settings, force: bool, public: float | None = None, sentence: str | None = None
) -> None:
    if public is not None and not 0 <= public <= 1:
        raise InputError(f"--public {public:g} must be an AUC, between 0 and 1")
    submission, board = require(graph.submission(s)), graph.board(s)
    judged = scores.judge(require(graph.blend(s)), graph.hidden_labels(s), s.tuned)
    leaderboard.record(board, submission, judged, public, sentence)
    if public is not None:
        print(f"80_report noted public={public:.5f} for {submission} in {board}")
    target = leaderboard.report_spec(s)
    build(target, force, functools.partial(write, s, judged))
    print(scores.as_text(judged))
    print(f"report: {target.path / 'report.html'}", flush=True)


def write(s: Settings, judged: dict, out: ArtifactWriter) -> dict:
    (out / "scores.json").write_text(json.dumps(judged, indent=1) + "\n")
    (out / "report.html").write_text(reporting.build(gather(s, judged)), encoding="utf-8")
    return {"rows": len(judged["rows"])}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--public", type=float, help="score on the public leaderboard, to note")
    parser.add_argument("--sentence", help="what this submission tries, for LEADERBOARD.md")
    cli.main(parser, lambda a: work(cli.load(a), a.force, a.public, a.sentence))


if __name__ == "__main__":
    main()
