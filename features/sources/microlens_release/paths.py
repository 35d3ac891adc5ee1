"""Which files of a public MicroLens release are read.

    *_pairs.csv (user,item,timestamp) or *_pairs.tsv (user TAB items, oldest first); the csv is read
    where both are there, since only the csv tells which events happened at the same time
    *_titles.csv or *_title_en.csv (item,title; the names of MicroLens-50k and of MicroLens-100k)
    *_likes_and_views.txt (item TAB likes TAB views)

Releases: https://github.com/westlake-repl/MicroLens (research use, no redistribution).
"""

from pathlib import Path

from features.errors import InputError

MAX_NAMES = 20  # of files, that a message lists
PATTERNS = {  # the first pattern that matches is read
    "pairs": ("*_pairs.csv", "*_pairs.tsv"),
    "titles": ("*_titles.csv", "*_title_en.csv"),
    "counts": ("*_likes_and_views.txt",),
}


def find(dir: str, embeddings: tuple[str, ...]) -> list[Path]:
    """The files to read: pairs, titles, counts, then the arrays.

    Raises InputError that names every file that is missing or ambiguous, and what is there.
    """
    folder = Path(dir)
    if not dir or not folder.is_dir():
        problem = "is empty" if not dir else f"= {dir} is no folder"
        raise InputError(f"data.dir {problem}; name a MicroLens release's folder: data.dir=FOLDER")
    tables, problems = [], []
    here = sorted(path for path in folder.iterdir() if path.is_file())
    for patterns in PATTERNS.values():
        matches = next(filter(None, ([p for p in here if p.match(one)] for one in patterns)), [])
        names = ", ".join(path.name for path in matches) or "none"
        if len(matches) != 1:
            problems.append(f"expected one {' or '.join(patterns)}, found {names}")
        tables += matches
    arrays = [Path(path) for path in embeddings]
    problems += [f"data.embeddings: {path} does not exist" for path in arrays if not path.is_file()]
    if problems:
        names = [path.name for path in here][:MAX_NAMES]
        there = f"; the folder holds the files {', '.join(names)}: rename or remove what differs"
        raise InputError(f"{folder}: " + "; ".join(problems) + there * bool(names))
    return tables + arrays
