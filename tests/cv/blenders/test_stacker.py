"""The stacker: LightGBM that chooses its number of trees on users of its own."""

import numpy as np
import pytest

from cv.blenders import stacker
from cv.blenders.trees import LIGHTGBM
from features.errors import InputError
from tests.cv.blenders.test_blenders import stacked


def test_the_number_of_trees_is_chosen_on_users_that_the_trees_did_not_see(monkeypatch):
    """Then trees of that number are fitted on all rows."""
    fits = []
    train = stacker.lightgbm.train

    def spy(settings, data, n_trees, valid_sets=(), **more):
        fits.append((len(data.label), n_trees, [len(valid.label) for valid in valid_sets]))
        return train(settings, data, n_trees, list(valid_sets), **more)

    monkeypatch.setattr(stacker.lightgbm, "train", spy)
    inputs, label, _, user = stacked(n=2000)
    fitted = stacker.fit(inputs.features, list(inputs.names), label, user)
    (n_fitted, most, (n_valid,)), (n_all, chosen, none) = fits
    assert (n_fitted, n_valid, n_all, none) == (1600, 400, 2000, [])
    assert most == stacker.MAX_TREES > chosen
    assert fitted.text.count("\nTree=") == chosen
    assert fitted.held_out.sum() == len(fitted.held_out_score) == n_valid


def test_equal_rows_give_a_stacker_of_equal_bytes_whatever_the_threads(monkeypatch):
    inputs, label, _, user = stacked()
    texts = set()
    for threads in ("1", "2", "2"):
        monkeypatch.setattr(stacker, "_threads", lambda rows, n=int(threads): n)
        text = stacker.fit(inputs.features, list(inputs.names), label, user).text
        texts.add(text.replace(f"[num_threads: {threads}]", ""))
    assert len(texts) == 1


def test_a_stacker_read_back_from_its_text_scores_the_same():
    inputs, label, _, user = stacked(n=1000)
    fitted = LIGHTGBM.fit(inputs, label, user)
    text = fitted.text
    assert list(stacker.importances(text)) != list(inputs.names)
    assert set(stacker.importances(text)) == {*inputs.models, *inputs.names}
    gains = list(stacker.importances(text).values())
    assert gains == sorted(gains, reverse=True)
    score = LIGHTGBM.predict(fitted, inputs)
    one_by_one = [LIGHTGBM.predict(fitted, inputs.take([i]))[0] for i in range(20)]
    assert np.array_equal(score[:20], one_by_one)
    p = LIGHTGBM.to_probability(score)
    assert ((p > 0) & (p < 1)).all()
    assert abs(p.mean() - label.mean()) < 0.01


def test_few_users_choose_in_fewer_parts_and_one_user_cannot():
    inputs, label, _, _ = stacked(n=40)
    user = np.arange(40) % 3
    fitted = stacker.fit(inputs.features, list(inputs.names), label, user)
    assert len(np.unique(user[fitted.held_out])) == 1
    with pytest.raises(InputError, match="1 users do not make two parts"):
        stacker.fit(inputs.features, list(inputs.names), label, np.zeros(40, int))
