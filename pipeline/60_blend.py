"""60_blend: blends the models' out-of-fold logits into one score; one table of
all blenders.

reads   artifacts/<profile>/50_train/ (all fits of the run), 10_prepare/,
        20_folds/, 30_features/ (neither folds nor features in official mode);
        the file that blend.external names
writes  artifacts/<profile>/60_blend/blend-<hash>/
        oof.parquet (row_id, fold, user_id, slate, label, last, logits) unless
        official
        valid.parquet (row_id, user_id, slate, label), test.parquet (ID,
        user_id, slate): logits per model and fit, a score per blender, and
        `probability`, the score that is submitted
        blend.json: the table and the chosen blender, see
        pipeline/blending/evaluate.py
        lightgbm.txt, features_only.txt, ...: the stackers' models
run     python -m pipeline.60_blend PROFILE
        [blend.method=hill_climbing blend.external=FILE ...]
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

import json
from pathlib import Path

import polars as pl

from features import table
from features.store.hashing import sha256
from features.store.store import open_store
from pipeline import graph
from pipeline.artifacts.spec import require
from pipeline.artifacts.store import ArtifactWriter
from pipeline.blending import blenders, evaluate, external, predictions
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import builds


@builds(graph.blend)
def work(s: Settings, out: ArtifactWriter) -> dict:
    store = open_store(require(graph.store(s)))
    fits = {key: require(fit) for key, fit in graph.fits(s).items()}
    tables = predictions.mean_logits(store, fits)
    if s.official:
        figures, weights = evaluate.on_valid(tables["valid"], fits)
        figures |= blenders.choose_on_valid()
    else:
        oof = predictions.out_of_fold(store, require(graph.folds(s)), fits)
        oof.write_parquet(out / "oof.parquet")
        logits = {model: oof[model].to_numpy() for model in predictions.models_of(fits)}
        inputs = blenders.inputs(oof, logits, features_of(s, "train"))
        slates = s.blend.slates == "auto"
        figures, scores = evaluate.nested(oof, tables["valid"], fits, inputs, slates)
        weights = {score.name: score.weights for score in scores}
        figures |= blenders.choose(scores, s.blend.method)
    folds, models = graph.fold_numbers(s), predictions.models_of(fits)
    for name, rows in tables.items():
        features = None if s.official else (features_of(s, name, fold) for fold in folds)
        by_fold = blenders.inputs_by_fold(rows, fits, folds, models, features)
        tables[name] = blenders.add_blends(rows, by_fold, weights, figures["chosen"])
    evaluate.add_valid_auc(figures, tables["valid"])
    texts = evaluate.add_weights(figures, weights, models)
    if s.blend.external:
        figures["external"], tables["test"] = with_external(s, tables["test"])
    for name, rows in tables.items():
        rows.write_parquet(out / f"{name}.parquet")
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    (out / "blend.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return {"chosen": figures["chosen"], "by": repr(figures["chosen_by"])}


def features_of(s: Settings, name: str, fold: int | None = None) -> pl.DataFrame:
    """The table of 30_features of a split; what is fitted, by one `fold` where that is given."""
    folder = require(graph.features(s))
    features = pl.read_parquet(folder / f"{name}.parquet", glob=False)
    if fold is None:
        return features
    fitted = pl.read_parquet(folder / f"{table.of_fold(name, fold)}.parquet", glob=False)
    return table.whole(features, fitted)


def with_external(s: Settings, test: pl.DataFrame) -> tuple[dict, pl.DataFrame]:
    """The entry `external` of blend.json, and `test` with the file mixed into `probability`."""
    submitted, ids = test[predictions.SUBMITTED].to_numpy(), test["ID"].to_numpy()
    mixed = pl.Series(predictions.SUBMITTED, external.mix(submitted, ids, s.blend))
    print(
        f"60_blend {s.blend.external_task} of {s.blend.external} weighs"
        f" {s.blend.external_weight:g}: {external.NOT_VALIDATED}",
        flush=True,
    )
    entry = {
        "file": Path(s.blend.external).name,
        "sha256": sha256(Path(s.blend.external)),
        "task": s.blend.external_task,
        "mean": s.blend.external_mean,
        "weight": s.blend.external_weight,
        "evaluated_by": f"nothing: {external.NOT_VALIDATED}",
    }
    return entry, test.with_columns(mixed)


if __name__ == "__main__":
    cli.stage(__doc__, work)
