"""When a device has too little memory, one line names the setting to change."""

import contextlib
from collections.abc import Iterator

import torch

from features.errors import InputError

ON_CPU = "can't allocate memory"  # torch has no class of its own for this error


@contextlib.contextmanager
def enough_memory(device: torch.device, what: str, remedy: str) -> Iterator[None]:
    """Within it, running out of memory is an InputError with `what` needs more and the `remedy`."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and ON_CPU not in str(error):
            raise
        raise InputError(f"{what} needs more memory than {device} has; {remedy}") from None
