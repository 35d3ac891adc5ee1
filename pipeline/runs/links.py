"""What 80_report puts beside a submission: its report, and the link `latest`.

    submissions/<profile>/<rules>-<hash>/report.html    the report's own file (a hard link)
    submissions/<profile>/latest -> <rules>-<hash>      the run that ended last

Both are replaced in one rename, so that whoever opens them finds the old one or the new one.
"""

import os
import shutil
from pathlib import Path

from features.errors import InputError
from features.store.atomic import atomic_file, hidden_name, remove_leftovers
from pipeline.runs.find import LATEST

REPORT = "report.html"


def publish(submission: Path, report: Path) -> Path:
    """Put `report` beside the zip of `submission` and let `latest` point there; returns its path.

    A file system without hard links gets a copy. Raises InputError where `latest` is not a link.
    """
    beside = submission / REPORT
    for folder in (submission, submission.parent):
        remove_leftovers(folder)
    if not (beside.exists() and beside.samefile(report)):
        with atomic_file(beside) as scratch:
            link_or_copy(report, scratch)
    _point(submission.with_name(LATEST), submission.name)
    return beside


def link_or_copy(source: Path, target: Path) -> None:
    """`target` becomes another name of `source`, or a copy where files have one name alone."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one that has no links
        shutil.copyfile(source, target)


def _point(link: Path, name: str) -> None:
    if link.exists() and not link.is_symlink():
        raise InputError(f"{link} is not a symbolic link: move it away, 80_report makes one there")
    scratch = hidden_name(link)
    scratch.unlink(missing_ok=True)
    try:
        os.symlink(name, scratch)
    except OSError as error:
        print(f"80_report {link} cannot be made ({error.strerror}): no link to the last run")
        return
    scratch.rename(link)
