"""bench.tools.steps on a small network."""

import pytest
import torch

from bench.tools import steps
from features.errors import InputError
from models.settings import FitSettings
from tests.helpers.networks import small


def test_measure_runs_a_real_fit_whose_epochs_end_early():
    network, (rows, label) = small.network(small.settings()), small.rows(n_rows=20)
    calls = []
    network.interest.register_forward_pre_hook(
        lambda part, inputs: calls.append((part.training, len(inputs[0])))
    )
    measurement = steps.measure(
        network,
        rows,
        label,
        rows.take(torch.arange(7)),
        label[:7],
        FitSettings(batch_size=4, patience=1),
        2,
    )
    assert calls == [(True, 4), (True, 4), (False, 7)] * steps.EPOCHS
    assert measurement.train_rows_per_second * measurement.step_seconds == pytest.approx(4)
    assert 0 < measurement.step_seconds < 60
    assert measurement.inference_rows_per_second > 0
    assert measurement.weights_mib == sum(w.nbytes for w in network.parameters()) / 2**20
    assert 0 < measurement.before_mib <= measurement.peak_mib
    assert measurement.device_mib is None


def test_a_loss_that_is_not_finite_is_an_input_error():
    network, (rows, label) = small.network(small.settings()), small.rows()
    network.likes.weight.data.fill_(torch.nan)
    with pytest.raises(InputError, match="training steps failed: epoch 1"):
        steps.measure(network, rows, label, rows, label, FitSettings(batch_size=4), 2)
