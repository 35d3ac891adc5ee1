"""50_train: every model on every fold (and seed): weights, and logits of the rows it did not see.

reads   artefacts/<profile>/10_prepare/, artefacts/<profile>/20_folds/
writes  artefacts/<profile>/50_train/<model>-seed<s>-fold<k>-<hash>/
        model.pt; held.parquet (row_id, logit) unless official; valid.parquet (row_id, logit);
        test.parquet (ID, logit); the learning curve in artefact.json
run     python -m pipeline.50_train PROFILE [models=qin,din train.seeds=0,1 qin.max_len=32 ...]
        torchrun --standalone --nproc-per-node N -m pipeline.50_train PROFILE [...]
        one fit after another, each over N processes
"""

from models import distributed
from pipeline import command, places, torchrun, training
from pipeline.settings import Settings


def work(s: Settings, force: bool) -> None:
    torchrun.join(s)
    fits = places.fits(s).items()
    todo = [key for key, place in fits if distributed.agreed(not command.kept(place, force))]
    if todo:
        for word in places.outvoted(s):
            said = "where a study began; train.settings=tuned takes what it found"
            print(f"50_train {word}: {said}", flush=True)
        training.run([(s, key) for key in todo], force)


def main(argv: list[str] | None = None) -> None:
    arguments = command.parser(__doc__).parse_intermixed_args(argv)

    def run() -> None:
        with torchrun.team():
            work(command.load(arguments), arguments.force)

    torchrun.leave(command.exit_code(run, team=True))


if __name__ == "__main__":
    main()
