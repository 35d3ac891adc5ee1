"""50_train: every model on every fold (and seed): weights, and logits of the rows it did not see.

reads   artefacts/<profile>/10_prepare/, artefacts/<profile>/20_folds/
writes  artefacts/<profile>/50_train/<model>-seed<s>-fold<k>-<hash>/
        model.pt; held.parquet (row_id, logit) unless official; valid.parquet (row_id, logit);
        test.parquet (ID, logit); the learning curve in artefact.json
run     python -m pipeline.50_train PROFILE [models=qin,din train.seeds=0,1 qin.max_len=32 ...]
"""

from pipeline import command, places, training
from pipeline.artefacts import need
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    wanted = places.fits(s)
    if not [place for place in wanted.values() if not command.kept(place, force)]:
        return
    bench = training.Bench.open(s, need(places.store(s)), need(places.folds(s)))
    for (model, seed, fold), place in wanted.items():
        if force or not place.done:
            command.make(place, force, lambda out: bench.fit(model, seed, fold, out))  # noqa: B023


if __name__ == "__main__":
    command.stage(__doc__, work)
