"""50_train: every model on every fold (and seed): weights, and logits of the rows it did not see.

reads   artefacts/<profile>/10_prepare/, artefacts/<profile>/20_folds/
writes  artefacts/<profile>/50_train/<model>-seed<s>-fold<k>-<hash>/
        model.pt; held.parquet (row_id, logit) unless official; valid.parquet (row_id, logit);
        test.parquet (ID, logit); the learning curve in artefact.json
run     python -m pipeline.50_train PROFILE [models=qin,din train.seeds=0,1 qin.max_len=32 ...]
"""

from pipeline import command, places, training
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    todo = [key for key, place in places.fits(s).items() if not command.kept(place, force)]
    if todo:
        for word in places.outvoted(s):
            said = "where a study began; train.settings=tuned takes what it found"
            print(f"50_train {word}: {said}", flush=True)
        training.run([(s, key) for key in todo], force)


if __name__ == "__main__":
    command.stage(__doc__, work)
