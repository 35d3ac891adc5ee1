"""A fit that was stopped goes on at the epoch that it reached.

    artifacts/<profile>/50_train/.<model>-seed<s>-fold<k>-<hash>.state

stands beside the place of the fit, under its hash, so that no other settings or rows find it. It is
written after an epoch when train.save_every seconds have passed, and is gone when the fit appears.
Code, or a device, that would round otherwise does not go on: the fit starts anew, and says so.
"""

import time
import zipfile
from collections.abc import Callable

import torch

from features.store.atomic import atomic_file
from pipeline.artifacts import provenance
from pipeline.artifacts.store import ArtifactWriter


class FitCheckpointer:
    """Reads and keeps the state of one fit.

    out    the publication of the fit: it knows the file, and has a folder on the same disk
    what   begins every line that is said
    every  seconds between two states
    """

    def __init__(self, out: ArtifactWriter, what: str, every: float, device: torch.device) -> None:
        self.path = out.state
        self.what, self.every, self.last = what, every, time.monotonic()
        on_gpu, cpu = device.type == "cuda", torch.backends.cpu.get_cpu_capability()
        self.by = {
            "code": provenance.code(),
            "torch": str(torch.__version__),
            "device": torch.cuda.get_device_name(device) if on_gpu else cpu,
            "threads": torch.get_num_threads(),
        }

    def load(self) -> dict | None:
        """The state to go on from, on the CPU; None where the fit has to start at its beginning."""
        if not self.path.exists():
            return None
        kept = self._read()
        if kept is None:
            return self._anew("is damaged")
        others = [name for name, value in self.by.items() if kept["by"].get(name) != value]
        if others:
            return self._anew(f"was written with other {', '.join(others)}")
        try:
            epoch = len(kept["state"]["report"]["epochs"])
        except (KeyError, TypeError):
            return self._anew("is damaged")
        print(f"{self.what} goes on after epoch {epoch}", flush=True)
        return kept["state"]

    def save(self, state: Callable[[], dict]) -> None:
        """Keep the state, if it is time."""
        if time.monotonic() - self.last < self.every:
            return
        with atomic_file(self.path) as scratch:
            torch.save({"by": self.by, "state": state()}, scratch)
        self.last = time.monotonic()

    def _read(self) -> dict | None:
        """What `save` wrote; None where it is not that any more."""
        try:
            with zipfile.ZipFile(self.path) as file:  # torch does not look at the checksums
                if file.testzip() is not None:
                    return None
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # whatever a damaged file makes zipfile and torch raise
            return None
        fine = isinstance(kept, dict) and kept.keys() == {"by", "state"}
        return kept if fine and isinstance(kept["by"], dict) else None

    def _anew(self, why: str) -> None:
        print(f"{self.what} starts anew: {self.path} {why}", flush=True)
