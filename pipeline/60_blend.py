"""60_blend: the models' out-of-fold logits become one score; every way to do so in one table.

reads   artefacts/<profile>/50_train/ (all fits of the run), 10_prepare/, 20_folds/
writes  artefacts/<profile>/60_blend/blend-<hash>/
        oof.parquet (row_id, fold, label, a logit per model) unless official
        valid.parquet (row_id, label), test.parquet (ID): a logit per model, a score per blender,
        and `probability`, the score that ships; blend.json: the table and what was chosen
run     python -m pipeline.60_blend PROFILE [blend.method=hill_climbing ...]
"""

import json

from features.store import open_store
from pipeline import blending, command, places
from pipeline.artefacts import Publication, need
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    place = places.blend(s)

    def fill(out: Publication) -> dict:
        store = open_store(need(places.store(s)))
        fits = {key: need(fit) for key, fit in places.fits(s).items()}
        predictions = blending.predictions(store, fits)
        if s.official:
            table = blending.judge_on_valid(predictions)
        else:
            oof = blending.out_of_fold(store, need(places.folds(s)), fits)
            oof.write_parquet(out / "oof.parquet")
            table = blending.judge_nested(oof, predictions)
        chosen = blending.choose(table, s.blend.method)
        blending.score(predictions, table, chosen)
        for name, rows in predictions.items():
            rows.write_parquet(out / f"{name}.parquet")
        (out / "blend.json").write_text(json.dumps(table | chosen, indent=1) + "\n")
        return {"chosen": chosen["chosen"], "by": repr(chosen["chosen_by"])}

    command.make(place, force, fill)


if __name__ == "__main__":
    command.stage(__doc__, work)
