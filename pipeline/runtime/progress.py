"""Progress bars on a terminal; silent elsewhere."""

from collections.abc import Iterable

from tqdm import tqdm


def progress_bar(items: Iterable, description: str) -> Iterable:
    """`items` behind a progress bar; silent where stderr is not a terminal."""
    return tqdm(items, desc=description, leave=False, disable=None)


class RowBars:
    """One bar per file; a call sets it: (file name, rows done, rows of the file)."""

    def __init__(self) -> None:
        self.bars: dict[str, tqdm] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        bar = self.bars.get(name)
        if bar is None:
            bar = self.bars[name] = tqdm(
                total=total, desc=name, unit="rows", leave=False, disable=None
            )
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
