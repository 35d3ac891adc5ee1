"""50_train: every model on every fold (and seed): weights, and logits of the rows
it did not see.

reads   artifacts/<profile>/10_prepare/, artifacts/<profile>/20_folds/;
        25_prefixes/ and 30_features/, for networks that train on prefixes or
        have columns
writes  artifacts/<profile>/50_train/<model>-seed<s>-fold<k>-<hash>/
        model.pt; held.parquet (row_id, logit) unless official; valid.parquet
        (row_id, logit); test.parquet (ID, logit); the learning curve in
        artifact.json
        a warning for each fit that did not learn, or had too few epochs
        (training/health.py)
run     python -m pipeline.50_train PROFILE
        [models=qin,din train.seeds=0,1 qin.max_len=32 ...]
        torchrun --standalone --nproc-per-node N \\
            -m pipeline.50_train PROFILE [...]
        one fit after another, each over N processes
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()  # first: the other imports take long enough to be interrupted
    terminal.start()

from models.training import distributed
from pipeline import graph
from pipeline.config.settings import Settings
from pipeline.runtime import cli
from pipeline.runtime.build import is_up_to_date
from pipeline.training import fits, health, torchrun
from pipeline.training.tracking import fit_runs, trackers


def work(s: Settings, force: bool) -> None:
    torchrun.init_distributed(s)
    trackers.require(s)  # in every process, or the others would wait for the first one
    if distributed.rank() == 0:
        fit_runs.open_tracker(s)
    missing = [
        key
        for key, fit in graph.fits(s).items()
        if distributed.broadcast_scalar(not is_up_to_date(fit, force))
    ]
    if missing:
        fits.run([(s, key) for key in missing], force)
    if distributed.rank() == 0:
        health.warn(s)


def main(argv: list[str] | None = None) -> None:
    arguments = cli.parser(__doc__).parse_intermixed_args(argv)

    def run() -> None:
        with torchrun.distributed_session():
            work(cli.load(arguments), arguments.force)

    torchrun.exit_process(cli.exit_code(run, distributed=True))


if __name__ == "__main__":
    main()
