"""The stages of a run, in this process, as far as later ones read them."""

from importlib import import_module

from pipeline import graph
from pipeline.config.settings import Settings

NOT_READ = ("15_probe", "55_mask")  # by any other stage


def up_to(s: Settings, last: str) -> list[str]:
    """The stages of the run up to `last`, in their order, without those of NOT_READ."""
    names = graph.stages(s)
    return [name for name in names[: names.index(last) + 1] if name not in NOT_READ]


def run(s: Settings, last: str) -> None:
    """Run what is not up to date of them."""
    for stage in up_to(s, last):
        import_module(f"pipeline.{stage}").work(s, False)
