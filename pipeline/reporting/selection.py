"""Which score of a submission chose something: that score is too high wherever it stands."""

MARK = "*"


def marks(chosen_by: str | None, tuned: bool, has_cv: bool) -> dict[str, str]:
    """MARK or nothing for the figures `cv` and `valid`.

    `chosen_by` is that of scores.json (None: not known), `tuned` whether a study chose settings: by
    CV, or by official valid where there is no CV. That epochs were chosen too is not marked: every
    CV would be.
    """
    words = chosen_by or ""
    chose = {
        "cv": "CV" in words or "out-of-fold" in words or (tuned and has_cv),
        "valid": "official valid" in words or (tuned and not has_cv),
    }
    return {figure: MARK if marked else "" for figure, marked in chose.items()}
