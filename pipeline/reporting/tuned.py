"""What tuning has used up, and what it has left to judge by."""

TUNED_CV = "The folds have also chosen the settings of {}: official valid is the yard-stick."
TUNED = "Official valid has also chosen the settings of {}: only the test can judge them."


def of_tuned(judged: dict) -> str:
    """On the networks whose settings a study chose; `judged` as scores.judge returns it."""
    kfold = judged["rows"][0]["cv"] is not None
    return (TUNED_CV if kfold else TUNED).format(", ".join(judged["tuned"]))
