"""Fixtures: results of the published implementations, one .npz each, every array of which is read.

PARITY_FIXTURES names their folder (default ../shared/parity); its README.md holds the maths. Arrays
are named w/ (weights), in/, out_<mode>/, grad_<mode>/, after_train/, after_2_steps/. A network runs
in float64 or float32; the stored outputs are float64.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batches.rows import Rows, spans
from models.interop.fuxictr import as_ours, names
from models.items import ItemTable
from models.layers.ragged import History
from models.network import Network
from models.settings import NetworkSettings

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = Path(os.environ.get("PARITY_FIXTURES", ROOT.parent / "shared" / "parity"))
if "PARITY_FIXTURES" in os.environ and not FIXTURES.is_dir():
    raise RuntimeError(f"PARITY_FIXTURES={FIXTURES} is no folder")  # or all would be skipped
FAMILIES = set()  # those that tests read; one test compares them with the files
marks = [
    pytest.mark.parity,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason="no PARITY_FIXTURES, no ../shared/parity"),
]


class Fixture:
    """One .npz, in one precision. `finish` fails where an array was not read."""

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        self.arrays = dict(np.load(path))
        self.meta = json.loads(str(self.arrays.pop("meta_json")))
        self.unread, self.dtype = set(self.arrays), dtype

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def __getitem__(self, key: str) -> Tensor:
        self.unread.discard(key)
        array = self.arrays[key]
        return torch.tensor(array, dtype=self.dtype if array.dtype.kind == "f" else torch.int64)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """All arrays prefix/name, by name."""
        keys = [key for key in self.arrays if key.startswith(f"{prefix}/")]
        return {key.removeprefix(f"{prefix}/"): self[key] for key in keys}

    def close(self, got: Tensor, key: str) -> None:
        """float64: 1e-9. float32: 1e-4 of the value or of the array's largest, but never less than
        1e-6, float32's own resolution of a sum of numbers near 1."""
        self.unread.discard(key)
        want = torch.as_tensor(self.arrays[key], dtype=torch.float64)
        rtol = atol = 1e-9
        if self.dtype == torch.float32:
            rtol, atol = 1e-4, max(1e-4 * want.abs().max().item(), 1e-6)
        got = got.detach().double().reshape(want.shape)
        message = f"{key}: {{}}".format
        torch.testing.assert_close(got, want, rtol=rtol, atol=atol, msg=message)

    def close_gradients(self, module: nn.Module, prefix: str, weights: str = "w") -> None:
        """The gradient of every parameter, under prefix/."""
        named = names(module, self.names(weights))
        for key, weight in module.named_parameters():
            self.close(weight.grad, f"{prefix}/{named[key]}")

    def close_state(self, module: nn.Module, prefix: str, weights: str = "w") -> None:
        """Every array under prefix/, of the module's state_dict."""
        ours = {theirs: key for key, theirs in names(module, self.names(weights)).items()}
        state = module.state_dict()
        for theirs in self.under(prefix):
            self.close(state[ours[theirs]], f"{prefix}/{theirs}")

    def names(self, weights: str) -> list[str]:
        return [k.removeprefix(f"{weights}/") for k in self.arrays if k.startswith(f"{weights}/")]

    def load(self, module: nn.Module, weights: str = "w", tables: str = "") -> None:
        """Load weights/, without those whose names begin with `tables`: the module lacks them."""
        state = self.under(weights)
        held = {k: w for k, w in state.items() if not tables or not k.startswith(tables)}
        module.load_state_dict(as_ours(module, held))

    def finish(self) -> None:
        assert not self.unread, f"arrays never compared: {sorted(self.unread)}"


def fixtures(family: str):
    """Every <family>_*.npz, in float64 and in float32."""
    FAMILIES.add(family)
    paths = sorted(FIXTURES.glob(f"{family}_*.npz"))
    each = pytest.mark.parametrize("path", paths, ids=lambda p: p.stem)
    precise = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
    return lambda test: each(precise(test))


def ragged(mask: Tensor) -> History:
    """The real entries of `mask` (B, L), as positions in (B, L) flattened."""
    row, column = mask.nonzero(as_tuple=True)
    offsets = F.pad(mask.sum(1).long().cumsum(0), (1, 0))
    return History(row * mask.shape[1] + column, row, offsets)


def network_of(fixture: Fixture, s: NetworkSettings) -> Network:
    """A network of the fixture's items, with its weights."""
    items = ItemTable(
        tags=fixture["in/item_tags"],
        content=fixture["in/item_emb_d128"],
        n_tags=fixture.meta["n_tag"],
    )
    network = Network(s, items).to(fixture.dtype)
    fixture.load(network)
    return network


def rows_of(fixture: Fixture, sequence: str = "in/item_seq") -> tuple[Rows, Tensor]:
    """The fixture's rows with the histories under the key `sequence`, and the labels (B,)."""
    histories = fixture[sequence]
    real = histories > 0
    rows = Rows(
        user=torch.zeros(len(real), dtype=torch.int64),
        item=fixture["in/item_id"],
        likes=fixture["in/likes_level"],
        views=fixture["in/views_level"],
        history=torch.arange(len(real)),
        values=histories[real],
        **spans(F.pad(real.sum(1).cumsum(0), (1, 0))),
        n_items=fixture.meta["n_item"],
        max_len=fixture.meta["max_len"],
    )
    return rows, fixture["in/label"].to(fixture.dtype)


def whole(rows: Rows) -> Tensor:
    """The positions of all rows."""
    return torch.arange(len(rows))
