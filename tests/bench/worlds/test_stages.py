"""What of a run the worlds go through."""

from bench.worlds.stages import up_to
from pipeline.config.load import load


def test_a_world_goes_through_every_stage_that_a_later_one_reads():
    prefixes = load("sample", ["models=din", "din.fit.prefixes=2"])
    assert up_to(prefixes, "70_submit") == [
        "00_data", "10_prepare", "20_folds", "25_prefixes", "30_features", "50_train", "60_blend",
        "70_submit",
    ]  # fmt: skip
    tuned = load("sample", ["models=din", "tune.models=din", "tune.trials=1"])
    assert up_to(tuned, "50_train")[2:] == ["20_folds", "30_features", "40_tune", "50_train"]
