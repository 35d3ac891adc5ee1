"""Which files of a public MicroLens release are read.

    *_pairs.csv (user,item,timestamp) or *_pairs.tsv (user TAB items, oldest first); the csv is read
    where both are there, since only the csv tells which events happened at the same time
    *_titles.csv (item,title) and *_likes_and_views.txt (item TAB likes TAB views)

Releases: https://github.com/westlake-repl/MicroLens (research use, no redistribution).
"""

from pathlib import Path

from features.errors import InputError

PATTERNS = {  # the first pattern that matches is read
    "pairs": ("*_pairs.csv", "*_pairs.tsv"),
    "titles": ("*_titles.csv",),
    "counts": ("*_likes_and_views.txt",),
}


def find(dir: str, embeddings: tuple[str, ...]) -> list[Path]:
    """The files to read: pairs, titles, counts, then the arrays.

    Raises InputError that names every file that is missing or ambiguous.
    """
    folder = Path(dir)
    if not dir or not folder.is_dir():
        problem = "is empty" if not dir else f"= {dir} is no folder"
        raise InputError(f"data.dir {problem}; name a MicroLens release's folder: data.dir=FOLDER")
    tables, problems = [], []
    for patterns in PATTERNS.values():
        matches = next(filter(None, (sorted(folder.glob(p)) for p in patterns)), [])
        names = ", ".join(path.name for path in matches) or "none"
        if len(matches) != 1:
            problems.append(f"expected one {' or '.join(patterns)}, found {names}")
        tables += matches
    arrays = [Path(path) for path in embeddings]
    problems += [f"data.embeddings: {path} does not exist" for path in arrays if not path.is_file()]
    if problems:
        raise InputError(f"{folder}: " + "; ".join(problems))
    return tables + arrays
