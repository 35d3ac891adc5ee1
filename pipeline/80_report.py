"""80_report: what the run is worth: CV, official valid, hidden test and Bayes, and why.

reads   artefacts/<profile>/: 60_blend/, 50_train/, 30_features/, the records of every stage, tuning
        and probes of this run where there are any; the submission; submissions/LEADERBOARD.md; the
        hidden test labels where this world has them (no other stage opens those)
writes  artefacts/<profile>/80_report/report-<hash>/report.html, scores.json;
        a row of submissions/LEADERBOARD.md
run     python -m pipeline.80_report PROFILE [--public 0.9798] [--sentence "..."] [key=value ...]
"""

import json
import sys

from features.errors import InputError
from pipeline import command, leaderboard, places, reporting, scores
from pipeline.artefacts import Publication, need
from pipeline.reporting.run import gather
from pipeline.settings import Settings


def work(
    s: Settings, force: bool, public: float | None = None, sentence: str | None = None
) -> None:
    if public is not None and not 0 <= public <= 1:
        raise InputError(f"--public {public:g} must be an AUC, between 0 and 1")
    submission, board = need(places.submission(s)), places.board(s)
    judged = scores.judge(need(places.blend(s)), places.hidden_labels(s), s.tuned)
    leaderboard.record(board, submission, judged, public, sentence)
    if public is not None:
        print(f"80_report noted public={public:.5f} for {submission} in {board}")
    place = places.report(s)

    def fill(out: Publication) -> dict:
        (out / "scores.json").write_text(json.dumps(judged, indent=1) + "\n")
        (out / "report.html").write_text(reporting.build(gather(s, judged)), encoding="utf-8")
        return {"rows": len(judged["rows"])}

    command.make(place, force, fill)
    print(scores.as_text(judged))
    print(f"report: {place.path / 'report.html'}", flush=True)


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--public", type=float, help="score on the public leaderboard, to note")
    parser.add_argument("--sentence", help="what this submission tries, for LEADERBOARD.md")
    given = parser.parse_intermixed_args()
    load = command.load
    sys.exit(
        command.exit_code(lambda: work(load(given), given.force, given.public, given.sentence))
    )


if __name__ == "__main__":
    main()
