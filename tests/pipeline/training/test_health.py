"""Whether a fit trained soundly is read from its learning curve."""

from dataclasses import replace

from models.settings import NetworkSettings
from models.training.fit import FitReport
from pipeline.training import health

PLAIN = NetworkSettings(interest="asta", interaction="qnn")


def of_losses(*losses):
    return FitReport(epochs=[{"loss": loss} for loss in losses])


def test_a_rising_training_loss_is_found_and_noise_is_not():
    assert health.loss_rises(of_losses(0.6, 0.5, 0.505, 0.4)) == []
    assert health.loss_rises(of_losses(0.6137, 0.5397, 0.5818)) == [(3, 0.5397, 0.5818)]


def test_an_unstable_fit_says_where_and_what_to_lower():
    assert health.unstable("qin", of_losses(0.5, 0.6), PLAIN) == [
        "unstable, the training loss rose from 0.5000 to 0.6000 in epoch 2;"
        " lower qin.fit.learning_rate or qin.qnn.rows"
    ]
    [without_rows] = health.unstable("din", of_losses(0.5, 0.6), replace(PLAIN, interaction="mlp"))
    assert without_rows.endswith("lower din.fit.learning_rate")
