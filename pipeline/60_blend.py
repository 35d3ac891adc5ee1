"""60_blend: blends the models' out-of-fold logits into one score; one table of all blenders.

reads   artifacts/<profile>/50_train/ (all fits of the run), 10_prepare/, 20_folds/, 30_features/
        (neither folds nor features in official mode); the file that blend.external names
writes  artifacts/<profile>/60_blend/blend-<hash>/
        oof.parquet (row_id, fold, user_id, label, logits) unless official
        valid.parquet (row_id, user_id, label), test.parquet (ID, user_id): logits per model (and
        seed, of several), a score per blender, and `probability`, the score that is submitted
        blend.json: the table and the chosen blender, see pipeline/blending/evaluate.py
        lightgbm.txt, features_only.txt: the stackers' models
run     python -m pipeline.60_blend PROFILE [blend.method=hill_climbing blend.external=FILE ...]
"""

from pipeline.runtime import signals

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted

import json
from pathlib import Path

import polars as pl

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
    models = predictions.models_of(fits)
    tables = predictions.mean_logits(store, fits)
    features = features_of(s)
    if s.official:
        table, weights = evaluate.on_valid(tables["valid"], fits)
    else:
        oof = predictions.out_of_fold(store, require(graph.folds(s)), fits)
        oof.write_parquet(out / "oof.parquet")
        inputs = blenders.inputs(oof, models, features["train"])
        table, weights = evaluate.nested(oof, tables["valid"], fits, inputs)
    table |= blenders.choose(table, s.blend.method)
    for name, rows in tables.items():
        inputs = blenders.inputs(rows, models, features.get(name))
        tables[name] = blenders.add_blends(rows, inputs, weights, table["chosen"])
    evaluate.add_valid_auc(table, tables["valid"])
    texts = evaluate.add_weights(table, weights, models)
    if s.blend.external:
        table["external"], tables["test"] = with_external(s, tables["test"])
    for name, rows in tables.items():
        rows.write_parquet(out / f"{name}.parquet")
    for name, text in texts.items():
        (out / name).write_text(text)
    (out / "blend.json").write_text(json.dumps(table, indent=1) + "\n")
    return {"chosen": table["chosen"], "by": repr(table["chosen_by"])}


def features_of(s: Settings) -> dict[str, pl.DataFrame]:
    """The tables of 30_features; none in official mode, where nothing is stacked."""
    if s.official:
        return {}
    folder = require(graph.features(s))
    return {
        name: pl.read_parquet(folder / f"{name}.parquet", glob=False)
        for name in ("train", "valid", "test")
    }


def with_external(s: Settings, test: pl.DataFrame) -> tuple[dict, pl.DataFrame]:
    """The entry `external` of blend.json, and `test` with the file mixed into `probability`."""
    submitted, ids = test[predictions.SUBMITTED].to_numpy(), test["ID"].to_numpy()
    mixed = pl.Series(predictions.SUBMITTED, external.mix(submitted, ids, s.blend))
    print(
        f"60_blend {s.blend.external} weighs {s.blend.external_weight:g}: {external.NOT_VALIDATED}",
        flush=True,
    )
    entry = {
        "file": Path(s.blend.external).name,
        "sha256": sha256(Path(s.blend.external)),
        "mean": s.blend.external_mean,
        "weight": s.blend.external_weight,
        "evaluated_by": f"nothing: {external.NOT_VALIDATED}",
    }
    return entry, test.with_columns(mixed)


if __name__ == "__main__":
    cli.stage(__doc__, work)
