"""The warm-up of a fit: its first steps, in which early stopping waits.

Embeddings start with a standard deviation of 1e-4 (models.network.initialise) and grow by about a
learning rate a step, so a network ranks hardly better than by chance in its first hundred steps.
Where these are several epochs, the AUC of each is mostly noise of the held-out rows, and the
highest of them is not the best epoch. The warm-up ends once the AUC of an epoch has exceeded

    1/2 + ERRORS sigma,   sigma = sqrt((P + N + 1) / (12 P N))

or after STEPS steps, so that a fit without anything to learn ends too. sigma is the standard error
of the AUC of P positives and N negatives that are ranked by chance (Mann & Whitney 1947, "On a test
of whether one of two random variables is stochastically larger than the other", Annals of
Mathematical Statistics 18).

With many held-out rows sigma is small, and the first epoch ends the warm-up: nothing waits.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for who needs the limit alone, without torch
    from torch import Tensor

ERRORS = 7  # two or three are reached by the best of several epochs, five by popularity alone
STEPS = 500


def chance_error(label: "Tensor") -> float:
    """sigma of `label` (M,), values 0 and 1; infinite where one of the two is missing."""
    positives = int((label == 1).sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return math.inf
    return math.sqrt((len(label) + 1) / (12 * positives * negatives))


def is_over(best_score: float, error: float, steps: int) -> bool:
    """Whether the warm-up is over; `error` is the chance_error of the rows behind the score."""
    return steps >= STEPS or best_score > 0.5 + ERRORS * error
