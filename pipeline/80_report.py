"""80_report: score the run: CV, official valid, hidden test and Bayes; explain it
in report.html.

reads   artifacts/<profile>/: 60_blend/, 50_train/, 30_features/, the records
        of every stage, tuning and probes of this run where there are any; the
        submission; submissions/leaderboard.csv; the hidden test labels if the
        data have them (no other stage reads those)
writes  artifacts/<profile>/80_report/report-<hash>/report.html, scores.json;
        report.html beside the submission as well;
        submissions/<profile>/latest, which links to the submission;
        a row of submissions/leaderboard.csv, from which
        submissions/LEADERBOARD.md is rendered
run     python -m pipeline.80_report PROFILE [--public 0.9798]
        [--sentence "..."] [key=value ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import functools
import json

from features.errors import InputError
from pipeline import graph, source_files
from pipeline.artifacts.json_files import read_json
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.config.settings import Settings
from pipeline.reporting import compute_scores, leaderboard, report, upload
from pipeline.reporting.run import gather
from pipeline.reporting.scores import as_text
from pipeline.runs import links
from pipeline.runtime import cli
from pipeline.runtime.build import build


def work(
    s: Settings, force: bool, public: float | None = None, sentence: str | None = None
) -> None:
    if public is not None and not 0 <= public <= 1:
        raise InputError(f"--public {public:g}: expected an AUC between 0 and 1")
    submission, board = require(graph.submission(s)), graph.board(s)
    blend, hidden = require(graph.blend(s)), source_files.hidden_labels(s)
    forecast = read_json(submission / "manifest.json").get("forecast")  # of old ones: none
    scores = compute_scores.compute(blend, hidden, s.tuned, s.folds_choose_epochs, forecast)
    scores = {"run": submission.name} | scores
    leaderboard.record(board, submission, scores, public, sentence)
    if public is not None:
        print(f"80_report noted public={public:.5f} for {submission} in {board}")
    target = leaderboard.report_spec(s)
    build(target, force, functools.partial(write, s, scores))
    page = links.publish(submission, target.path / links.REPORT)
    print(upload.as_text(s))
    print(as_text(scores))
    print(f"report: {page}", flush=True)


def write(s: Settings, scores: dict, out: ArtifactWriter) -> dict:
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    (out / links.REPORT).write_text(report.build(gather(s, scores)), encoding="utf-8")
    return {"rows": len(scores["rows"])}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--public", type=float, help="score on the public leaderboard, to note")
    parser.add_argument(
        "--sentence", type=cli.text, help="what this submission tries, for the leaderboard"
    )
    cli.main(parser, lambda a: work(cli.load(a), a.force, a.public, a.sentence))


if __name__ == "__main__":
    main()
