"""Names on the command line, of which a beginning is enough: `--from 50` is `--from 50_train`."""

import argparse
from collections.abc import Callable, Sequence


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """An argparse type: the only one of `names` that begins with the text, or is it."""

    def parse(text: str) -> str:
        found = [name for name in names if name.startswith(text)]
        if text in names:
            return text
        if len(found) == 1:
            return found[0]
        expected = f"several begin so: {', '.join(found)}" if found else ", ".join(names)
        raise argparse.ArgumentTypeError(
            f"{text!r} is no stage; expected a name or its beginning, such as {names[0][:2]}:"
            f" {expected}"
        )

    return parse
