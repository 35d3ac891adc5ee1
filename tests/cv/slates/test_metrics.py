"""Ranking inside groups, against scikit-learn and plain loops."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cv.slates.metrics import clicked_first, grouped_auc, log_loss, slate_metrics

RNG = np.random.default_rng(1)
GROUP = RNG.integers(0, 80, 600) * 7
LABEL = (RNG.random(600) < 0.3).astype(int)
SCORE = np.round(RNG.normal(size=600) + LABEL, 1)  # rounded: ties


def test_grouped_auc_is_the_mean_auc_of_groups_weighted_by_rows():
    aucs, rows = [], []
    for group in np.unique(GROUP):
        mine = group == GROUP
        if len(set(LABEL[mine])) == 2:
            aucs.append(roc_auc_score(LABEL[mine], SCORE[mine]))
            rows.append(mine.sum())
    assert grouped_auc(LABEL, SCORE, GROUP) == pytest.approx(np.average(aucs, weights=rows), 1e-12)


def test_slates_count_where_they_have_a_click_and_another_row():
    label = np.array([1, 0, 0, 1, 1, 0, 0, 1, 0])
    slate = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4])  # 1 is one row, 3 is one row without a click
    z = np.array([2.0, 2.0, 1.0, 0.0, 1.0, 3.0, 0.0, 5.0, 4.0])
    assert clicked_first(label, z, slate) == pytest.approx((0.5 + 0 + 1) / 3)
    terms = [
        np.log(np.exp(z[:3]).sum()) - 2,
        np.log(np.exp(z[4:6]).sum()) - 1,
        np.log(np.exp(z[7:]).sum()) - 5,
    ]
    assert log_loss(label, z, slate) == pytest.approx(np.mean(terms))


def test_without_anything_to_rank_the_figures_are_not_numbers():
    alone = slate_metrics(np.array([1, 0]), np.zeros(2), np.arange(2), np.arange(2))
    assert all(np.isnan(alone))
