"""Which columns of two blends are compared."""

from pipeline.runs.paired import rows_of


def test_networks_blends_and_seeds_are_compared_and_single_fits_are_not():
    ours = ["row_id", "user_id", "slate", "label", "probability", "qin", "qin-seed0-fold1", "din"]
    ours += ["qin-seed1", "qin-seed0", "din-seed0"]
    theirs = [*ours[:7], "qin-seed2", "rank_mean"]
    assert rows_of(ours, theirs) == {
        "submitted": (["probability"], ["probability"]),
        "qin": (["qin"], ["qin"]),
        "qin, one seed": (["qin-seed0", "qin-seed1"], ["qin-seed2"]),
    }
