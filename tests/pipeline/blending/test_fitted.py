"""A blender that is read back from what 60_blend writes predicts the same."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cv.blenders.registry import BLENDERS_BY_NAME
from pipeline.blending import evaluate, fitted
from tests.helpers.stacking import stacked


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Rows, the weights of every blender on them, and the folder and JSON that 60_blend writes."""
    folder, (inputs, label, _, user) = tmp_path_factory.mktemp("blend"), stacked(1200)
    weights = {}
    for name, blender in BLENDERS_BY_NAME.items():
        weights[name] = blender.fit_after(weights, inputs, label, user)
    blend = {"blenders": {name: {} for name in weights}}
    for file, text in evaluate.add_weights(blend, weights, inputs.models).items():
        (folder / file).write_text(text, encoding="utf-8")
    return inputs, weights, folder, json.loads(json.dumps(blend))


@pytest.mark.parametrize("name", BLENDERS_BY_NAME)
def test_every_blender_is_read_back_with_all_its_digits(world, name):
    inputs, weights, folder, blend = world
    predict, used = BLENDERS_BY_NAME[name].predict, blend["blenders"][name]["models"]
    read = [model in used for model in inputs.models]
    logits = np.where(read, inputs.logits, 0)  # the others' fits are not run
    others_are_0 = replace(inputs, all_logits=logits)
    got = predict(fitted.read(folder, blend, name), others_are_0)
    np.testing.assert_array_equal(got, predict(weights[name], inputs))
    reads_features = "lightgbm" in name or name in ("features_only", "slate_ranker", "slate_mean")
    names = [*inputs.names] if reads_features else []
    assert fitted.feature_names(weights[name], inputs.models) == names
