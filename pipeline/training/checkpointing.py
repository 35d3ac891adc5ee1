"""A stopped fit resumes at the last epoch that was saved.

    artifacts/<profile>/50_train/.<model>-seed<s>-fold<k>-<hash>.state

is the checkpoint. It lies beside the artifact of the fit under the same hash, so that other
settings or rows do not find it. It is written after an epoch when train.save_every seconds have
passed, and removed when the artifact appears. Other code, or another device, would round
differently: then the fit starts from the beginning, and prints why.
"""

import time
import zipfile
from collections.abc import Callable

import torch

from features.store.atomic import atomic_file
from pipeline.artifacts import provenance
from pipeline.artifacts.store import ArtifactWriter


class FitCheckpointer:
    """Loads and saves the checkpoint of one fit.

    out         the writer of the fit's artifact, which knows the checkpoint's path
    fit_name    begins every line that is printed
    save_every  seconds between two checkpoints
    resumed     called with the records of the epochs before, where the fit resumes
    """

    def __init__(
        self,
        out: ArtifactWriter,
        fit_name: str,
        save_every: float,
        device: torch.device,
        resumed: Callable[[list[dict]], None] = lambda epochs: None,
    ) -> None:
        self.path = out.state
        self.fit_name, self.save_every = fit_name, save_every
        self.resumed, self.last_saved = resumed, time.monotonic()
        on_gpu, cpu = device.type == "cuda", torch.backends.cpu.get_cpu_capability()
        self.made_by = {
            "code": provenance.code(),
            "torch": str(torch.__version__),
            "device": torch.cuda.get_device_name(device) if on_gpu else cpu,
            "threads": torch.get_num_threads(),
        }

    def load(self) -> dict | None:
        """The state to resume from, on the CPU; None where the fit starts from the beginning."""
        if not self.path.exists():
            return None
        checkpoint = self._read()
        if checkpoint is None:
            return self._start_over("is damaged")
        made_by = checkpoint["made_by"]
        others = [name for name, value in self.made_by.items() if made_by.get(name) != value]
        if others:
            return self._start_over(f"was written with other {', '.join(others)}")
        try:
            epochs = list(checkpoint["state"]["report"]["epochs"])
        except (KeyError, TypeError):
            return self._start_over("is damaged")
        print(f"{self.fit_name} resumes after epoch {len(epochs)}", flush=True)
        self.resumed(epochs)
        return checkpoint["state"]

    def save(self, state: Callable[[], dict]) -> None:
        """Write the state, if `save_every` seconds have passed."""
        if time.monotonic() - self.last_saved < self.save_every:
            return
        with atomic_file(self.path) as scratch:
            torch.save({"made_by": self.made_by, "state": state()}, scratch)
        self.last_saved = time.monotonic()

    def _read(self) -> dict | None:
        """The checkpoint that `save` wrote; None where the file is damaged."""
        try:
            with zipfile.ZipFile(self.path) as file:  # torch does not verify the checksums
                if file.testzip() is not None:
                    return None
            checkpoint = torch.load(self.path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # zipfile and torch raise many kinds for a damaged file
            return None
        is_dict = isinstance(checkpoint, dict) and checkpoint.keys() == {"made_by", "state"}
        return checkpoint if is_dict and isinstance(checkpoint["made_by"], dict) else None

    def _start_over(self, reason: str) -> None:
        print(f"{self.fit_name} starts from the beginning: {self.path} {reason}", flush=True)
