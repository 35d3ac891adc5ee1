"""What --help prints: the command as it was typed, and the module's docstring."""

import argparse
import sys
from pathlib import Path


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser without arguments, for the module whose docstring is `doc`: lines fit 80 columns."""
    return argparse.ArgumentParser(
        prog=command(), description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def command() -> str:
    """How the running program was started: `python -m pipeline.50_train`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:  # a script
        return Path(sys.argv[0]).name
    return f"python -m {spec.name.removesuffix('.__main__')}"
