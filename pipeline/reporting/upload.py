"""Which file a run submits, and where to: the lines that end a run."""

from features.settings import ChallengeSettings
from pipeline import graph
from pipeline.config.settings import Settings

COMPETITION = "https://www.codabench.org/competitions/5372/"
PAGE = "https://erel-mir.github.io/challenge/mmctr-track2/"  # of the challenge
PROFILE = "microlens_1m"  # whose data are the competition's


def as_text(s: Settings) -> str:
    """`upload:` with the zip, and below it where that goes."""
    path = graph.submission(s).path / "submission.zip"
    return "\n".join([f"upload: {path}", *(f"  {line}" for line in where(s))])


def counts(s: Settings) -> bool:
    """Whether the run is on the competition's data."""
    return isinstance(s.data, ChallengeSettings) and s.data.published_sizes


def where(s: Settings) -> list[str]:
    """Where a run's zip is uploaded; of other data than the competition's: that it is not."""
    if counts(s):
        return [f"to {COMPETITION} (at most five a day)", f"the challenge's page: {PAGE}"]
    return [f"for practice only: runs of profile {PROFILE} go to", COMPETITION]
