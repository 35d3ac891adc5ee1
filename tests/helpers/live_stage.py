"""A stage for tests of the terminal, without torch: `fits` of two processes, or one that `sleeps`.

The first fit kills its process once: its file in the folder is then there.
"""

from pipeline.runtime import signals, terminal

if __name__ == "__main__":
    signals.install()
    terminal.start()

import os
import signal
import sys
import time
from pathlib import Path

from models.fit_settings import FitSettings
from pipeline.runtime import cli
from pipeline.runtime.live import events
from pipeline.training.executors import local
from pipeline.training.fit_line import FitLine, starting

NAMES = [f"qin seed 0 fold {fold}" for fold in range(4)]
LONG = "50_train warning: " + "of a sentence that is wider than any terminal " * 3


def fit(name: str, folder: Path) -> None:
    line = FitLine(name, FitSettings(batch_size=100, max_epochs=3))
    for epoch in (1, 2, 3):
        for _ in line.batches(range(8), f"epoch {epoch}"):
            time.sleep(0.1)  # an epoch is longer than a busy machine needs to draw it
        if name == NAMES[0] and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        line.end_epoch(epoch, {"loss": 0.6 / epoch, "score": 0.5 + epoch / 10})
    events.say(f"50_train {name} done", f"50_train {folder}/{name} done")
    line.end()


def fits(folder: Path) -> None:
    events.send(log=str(folder / "run.log"))
    events.total("fits", 0, len(NAMES), 2)
    starting(2)
    tasks = {name: (name, folder) for name in NAMES}
    for done, _ in enumerate(local.run_loky(fit, tasks, ["", ""]), start=1):
        events.total("fits", done, len(NAMES), 2)
    print(LONG)


def sleeps(folder: Path) -> None:
    (folder / "pid").write_text(str(os.getpid()))
    print("sleeps")
    time.sleep(60)


if __name__ == "__main__":
    sys.exit(
        cli.exit_code(lambda: {"fits": fits, "sleeps": sleeps}[sys.argv[1]](Path(sys.argv[2])))
    )
