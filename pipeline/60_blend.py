"""60_blend: the models' out-of-fold logits become one score; every way to do so in one table.

reads   artefacts/<profile>/50_train/ (all fits of the run), 10_prepare/, 20_folds/, 30_features/
        (neither folds nor features in official mode); the file that blend.extra names
writes  artefacts/<profile>/60_blend/blend-<hash>/
        oof.parquet (row_id, fold, user_id, label, logits) unless official
        valid.parquet (row_id, user_id, label), test.parquet (ID, user_id): logits per model (and
        seed, of several), a score per blender, and `probability`, the score that ships
        blend.json: the table and what was chosen, see pipeline/judging.py; lightgbm.txt and
        features_only.txt, the stackers' models
run     python -m pipeline.60_blend PROFILE [blend.method=hill_climbing blend.extra=FILE ...]
"""

import json
from pathlib import Path

import polars as pl

from features.digest import sha256
from features.store import open_store
from pipeline import blending, command, extra, judging, places
from pipeline.artefacts import Publication, need
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    place = places.blend(s)

    def fill(out: Publication) -> dict:
        store = open_store(need(places.store(s)))
        fits = {key: need(fit) for key, fit in places.fits(s).items()}
        models = blending.models_of(fits)
        tables = blending.predictions(store, fits)
        features = features_of(s)
        if s.official:
            table, weights = judging.on_valid(tables["valid"], fits)
        else:
            oof = blending.out_of_fold(store, need(places.folds(s)), fits)
            oof.write_parquet(out / "oof.parquet")
            given = blending.inputs(oof, models, features["train"])
            table, weights = judging.nested(oof, tables["valid"], fits, given)
        table |= blending.choose(table, s.blend.method)
        for name, rows in tables.items():
            given = blending.inputs(rows, models, features.get(name))
            tables[name] = blending.score(rows, given, weights, table["chosen"])
        judging.add_scores(table, tables["valid"])
        texts = judging.add_weights(table, weights, models)
        if s.blend.extra:
            table["extra"], tables["test"] = with_extra(s, tables["test"])
        for name, rows in tables.items():
            rows.write_parquet(out / f"{name}.parquet")
        for name, text in texts.items():
            (out / name).write_text(text)
        (out / "blend.json").write_text(json.dumps(table, indent=1) + "\n")
        return {"chosen": table["chosen"], "by": repr(table["chosen_by"])}

    command.make(place, force, fill)


def features_of(s: Settings) -> dict[str, pl.DataFrame]:
    """The tables of 30_features; none in official mode, where nothing is stacked."""
    if s.official:
        return {}
    folder = need(places.features(s))
    return {
        name: pl.read_parquet(folder / f"{name}.parquet") for name in ("train", "valid", "test")
    }


def with_extra(s: Settings, test: pl.DataFrame) -> tuple[dict, pl.DataFrame]:
    """What blend.json says of the outsider's file, and `test` with it in what ships."""
    shipped, ids = test[blending.SHIPPED].to_numpy(), test["ID"].to_numpy()
    mixed = pl.Series(blending.SHIPPED, extra.mix(shipped, ids, s.blend))
    print(f"60_blend {s.blend.extra} weighs {s.blend.extra_weight:g}: {extra.UNJUDGED}", flush=True)
    said = {
        "file": Path(s.blend.extra).name,
        "sha256": sha256(Path(s.blend.extra)),
        "mean": s.blend.extra_mean,
        "weight": s.blend.extra_weight,
        "judged_by": f"nothing: {extra.UNJUDGED}",
    }
    return said, test.with_columns(mixed)


if __name__ == "__main__":
    command.stage(__doc__, work)
