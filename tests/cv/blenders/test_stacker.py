"""The stacker: LightGBM that chooses its number of trees on users of its own."""

import numpy as np
import pytest

from cv.blenders import stacker
from cv.blenders.trees import LIGHTGBM, features
from features.errors import InputError
from tests.cv.blenders.test_blenders import stacked


def test_trees_are_added_until_users_that_they_did_not_see_gain_nothing(monkeypatch):
    fits = []
    train = stacker.lightgbm.train

    def spy(settings, data, n_trees, valid_sets, **more):
        fits.append((data.num_data(), n_trees, [valid.num_data() for valid in valid_sets]))
        return train(settings, data, n_trees, valid_sets, **more)

    monkeypatch.setattr(stacker.lightgbm, "train", spy)
    inputs, label, _, user = stacked(n=2000)
    fitted = stacker.fit(inputs, features, label, user)
    assert fits == [(1800, stacker.MAX_TREES, [200])]
    assert 0 < fitted.text.count("\nTree=") < stacker.MAX_TREES
    assert fitted.held_out.sum() == len(fitted.held_out_score) == 200


def test_labels_of_held_out_users_choose_the_number_of_trees_and_nothing_else(monkeypatch):
    monkeypatch.setattr(stacker, "stopping_rows", lambda user, label: user % 10 == 0)
    inputs, label, _, user = stacked(n=2000)
    fitted = stacker.fit(inputs, features, label, user)
    held_out = np.where(fitted.held_out, inputs.features[:, 0] > 0.5, label)
    other = stacker.fit(inputs, features, held_out.astype(int), user)

    def trees(text):
        return text.split("\nTree=")[1:]

    n = min(len(trees(fitted.text)), len(trees(other.text))) - 1
    assert len(trees(fitted.text)) != len(trees(other.text))
    assert trees(fitted.text)[:n] == trees(other.text)[:n]


def test_the_columns_of_all_rows_are_binned_once_and_parts_train_on_their_own_rows(monkeypatch):
    binned = []
    make = stacker._binned
    monkeypatch.setattr(stacker, "_binned", lambda *a: binned.append(len(a[0])) or make(*a))
    inputs, label, fold, user = stacked(n=2000)
    texts = []
    for k in (0, 1):
        out = fold != k
        texts.append(stacker.fit(inputs.take(out), features, label[out], user[out]).text)
    assert texts[0] != texts[1]
    assert binned == [2000]
    again = inputs.take(fold == 0).take(label[fold == 0] == 1)
    want = inputs.features[(fold == 0) & (label == 1)]
    np.testing.assert_array_equal(again.features, want)


def test_equal_rows_give_a_stacker_of_equal_bytes_whatever_the_threads(monkeypatch):
    inputs, label, _, user = stacked()
    texts = set()
    for threads in ("1", "2", "2"):
        monkeypatch.setattr(stacker, "_threads", lambda rows, n=int(threads): n)
        text = stacker.fit(inputs, features, label, user).text
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
    fitted = stacker.fit(inputs, features, label, user)
    assert len(np.unique(user[fitted.held_out])) == 1
    with pytest.raises(InputError, match="1 users do not make two parts"):
        stacker.fit(inputs, features, label, np.zeros(40, int))
