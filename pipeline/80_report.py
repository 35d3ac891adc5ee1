"""80_report: what the run is worth: CV, official valid, hidden test and Bayes, in one table.

reads   artefacts/<profile>/60_blend/, the submission, and the hidden test labels where this world
        has them (no other stage opens those)
writes  artefacts/<profile>/80_report/report-<hash>/scores.json, a row of submissions/LEADERBOARD.md
run     python -m pipeline.80_report PROFILE [--public 0.9798] [key=value ...]
"""

import json
import sys
from pathlib import Path

from features.errors import InputError
from pipeline import command, leaderboard, places, scores
from pipeline.artefacts import Publication, need
from pipeline.settings import Settings


def work(s: Settings, force: bool, public: float | None) -> None:
    if public is not None and not 0 <= public <= 1:
        raise InputError(f"--public {public:g} must be an AUC, between 0 and 1")
    place = places.report(s)

    def fill(out: Publication) -> dict:
        judged = scores.judge(need(places.blend(s)), places.hidden_labels(s))
        (out / "scores.json").write_text(json.dumps(judged, indent=1) + "\n")
        return {"rows": len(judged["rows"])}

    command.make(place, force, fill)
    judged = json.loads((place.path / "scores.json").read_text())
    submission = need(places.submission(s))
    board = Path(s.submissions) / "LEADERBOARD.md"
    leaderboard.record(board, submission, judged, public)
    if public is not None:
        print(f"80_report noted public={public:.5f} for {submission} in {board}")
    print(scores.as_text(judged), flush=True)


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--public", type=float, help="score on the public leaderboard, to note")
    arguments = parser.parse_intermixed_args()
    load = command.load
    sys.exit(command.exit_code(lambda: work(load(arguments), arguments.force, arguments.public)))


if __name__ == "__main__":
    main()
