"""All blenders. They are fitted on out-of-fold rows and judged by nested folds (cv.nested).

    best_single     the one model with the highest AUC
    rank_mean       mean of ranks, (rank - 1/2) / n within the set that is scored, mid-ranks on ties
    logit_mean      mean of logits
    hill_climbing   mean of logits over models picked greedily, with replacement, by AUC (Caruana et
                    al. 2004, "Ensemble selection from libraries of models", ICML)
    logistic        logistic regression on the logits, L2 with scikit-learn's strength C = 1
    features_only   LightGBM on tabular features, no network at all
    lightgbm        LightGBM on the logits and the features (Wolpert 1992, "Stacked generalization")
    slate_logistic  logistic, its score compared within the slate (cv.slates.choice)
    slate_lightgbm  lightgbm, its score compared within the slate
    slate_ranker    LightGBM that learns which row of a slate is clicked (cv.slates.softmax), from
                    the same columns and each beside the slate's best other row (cv.slates.columns)
    slate_mean      mean of the log-odds of slate_lightgbm and slate_ranker

To add a blender: a `Blender` in a file of this folder, an entry below, its name among the choices
of `blend.method` (`BlenderName` in pipeline/config/settings.py), a line above, and a row in
docs/blending.md. tests/cv/blenders/test_blenders.py checks every blender and compares the names.
"""

from cv.blenders.blender import Blender
from cv.blenders.linear import BEST_SINGLE, HILL_CLIMBING, LOGISTIC, LOGIT_MEAN, RANK_MEAN
from cv.blenders.trees import FEATURES_ONLY, LIGHTGBM
from cv.blenders.within_slates import (
    SLATE_LIGHTGBM,
    SLATE_LOGISTIC,
    SLATE_MEAN,
    SLATE_RANKER,
)

BLENDERS_BY_NAME: dict[str, Blender] = {  # simplest first: of equal blenders the first is submitted
    blender.name: blender
    for blender in (
        BEST_SINGLE,
        RANK_MEAN,
        LOGIT_MEAN,
        HILL_CLIMBING,
        LOGISTIC,
        FEATURES_ONLY,
        LIGHTGBM,
        SLATE_LOGISTIC,
        SLATE_LIGHTGBM,
        SLATE_RANKER,
        SLATE_MEAN,
    )
}
