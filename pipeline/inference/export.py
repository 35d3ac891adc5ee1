"""Exported networks: the fused network as ONNX, for ONNX Runtime, without torch.

    FOLDER/model.onnx, model.onnx.data   the network and its tables
    FOLDER/serving.json                  inputs, output, limits: see serving_json.py
    FOLDER/example.py                    scores rows; a copy of the example.py in this folder
    FOLDER/rows.parquet                  a few made-up rows, with the trained network's scores

ONNX Runtime reads them as data (protobuf, raw numbers, JSON): it unpickles nothing and runs no code
from the files. Every export is compared with the network that it was made from.
"""

import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from features.errors import InputError
from features.store.atomic import atomic_folder
from models.network import N_LEVELS, Network
from models.serving.interest import NoServingForm
from models.serving.network import ServingNetwork
from models.serving.request import Request
from pipeline.inference import score_rows, serving_json
from pipeline.inference.arguments import ScoreArgs
from pipeline.inference.serving_json import INPUTS, MODEL

MAX_DIFFERENCE = 1e-5  # of a probability between a network and its export
EXAMPLE, ROWS = "example.py", "rows.parquet"
ROWS_OF_EXAMPLE = ((1, 0), (3, 1), (4, 5), (2, 1000))  # candidates and length of their history


class Exported:
    """An exported network on one CPU thread."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError where `folder` holds no exported network."""
        import onnxruntime

        self.manifest = serving_json.read(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(
                folder / MODEL, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # whatever a damaged file makes ONNX Runtime raise
            reason = str(error).splitlines()[0]
            raise InputError(f"{folder / MODEL} cannot be loaded as a network: {reason}") from None

    def score(self, request: Request) -> Tensor:
        """Logits (N,). Raises ValueError for ids outside the tables."""
        manifest = self.manifest
        request.check(manifest.items, manifest.users)
        logits = []
        for piece in request.pieces(manifest.shortest, manifest.longest):
            inputs = {name: t.numpy() for name, t in zip(manifest.inputs, piece, strict=False)}
            logits += self.session.run([manifest.output], inputs)
        return torch.from_numpy(np.concatenate(logits))


def run(args: ScoreArgs) -> float:
    """Export the checkpoint; returns what `export` does. Raises InputError."""
    checkpoint, network = score_rows.network_alone(args)
    return export(network, checkpoint.settings.max_len, args.export, checkpoint.origin)


def export(
    network: Network, max_len: int, folder: Path, fit: Mapping[str, Any] | None = None
) -> float:
    """Write the folder, which must not exist, in one rename.

    fit  name, commit and scores of the network, for serving.json

    Returns the largest difference of a probability between `network` and its export, on a few
    random requests. Raises InputError where it exceeds MAX_DIFFERENCE, or where a part of the
    network has no serving form.
    """
    with atomic_folder(folder) as scratch:
        write(serving_form(network, max_len), scratch, fit)
        exported = Exported(scratch)
        difference = compare(network, max_len, exported)
        if not difference <= MAX_DIFFERENCE:
            raise InputError(
                f"{folder} is not written: a probability differs by {difference:.1e} from the"
                f" network's, expected at most {MAX_DIFFERENCE:.0e}; are its weights finite?"
            )
        shutil.copyfile(Path(__file__).with_name(EXAMPLE), scratch / EXAMPLE)
        example_rows(network, max_len, exported).write_parquet(scratch / ROWS)
    return difference


def serving_form(network: Network, max_len: int, rounded: bool = False) -> ServingNetwork:
    """The network for serving. Raises InputError, naming the part that has no serving form."""
    try:
        return ServingNetwork(network, max_len, rounded=rounded)
    except NoServingForm as error:
        raise InputError(f"this network can be neither exported nor timed: {error}") from None


def write(serving: ServingNetwork, folder: Path, fit: Mapping[str, Any] | None = None) -> None:
    """Write model.onnx and serving.json of `serving` into `folder`.

    torch traces it on an example; sizes that differ and exceed 1 become dynamic ones.
    """
    length = min(serving.shortest + 1, serving.longest)
    sizes = (length, *[length + 1] * 3, 1)
    example = [torch.ones(size, dtype=torch.int64) for size in sizes]
    entries = {}
    if serving.shortest < serving.longest:
        entries = {0: torch.export.Dim("entries", min=serving.shortest, max=serving.longest)}
    candidates = {0: torch.export.Dim("candidates")}
    shapes = (entries, candidates, candidates, candidates, {})
    n_inputs = len(serving.inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of missing torchvision
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            serving,
            tuple(example[:n_inputs]),
            folder / MODEL,
            input_names=serving.inputs,
            output_names=["logits"],
            dynamic_shapes=shapes[:n_inputs],
            external_data=True,
            dynamo=True,
            verbose=False,
        )
    serving_json.write(folder, serving, fit)


def example_rows(network: Network, max_len: int, exported: Exported) -> pl.DataFrame:
    """A few made-up rows: ID, the columns of INPUTS that are read, and what `network` expects."""
    rng, parts = np.random.default_rng(0), []
    n_items, n_users = exported.manifest.items, exported.manifest.users
    for n_candidates, length in ROWS_OF_EXAMPLE:
        one = draw(rng, n_items, n_users, n_candidates, min(length, max_len))
        columns = {name: getattr(one, name).tolist() for name in ("candidates", "likes", "views")}
        columns["history"] = [one.history.tolist()] * n_candidates
        if n_users:
            columns["user"] = [one.user] * n_candidates
        of_file = {INPUTS[name][1]: values for name, values in columns.items()}
        expected = unfused(network, one, n_items, max_len).double().sigmoid().tolist()
        types = {"item_seq": pl.List(pl.Int64)}
        parts.append(pl.DataFrame(of_file | {"expected": expected}, schema_overrides=types))
    return pl.concat(parts).with_row_index("ID").cast({"ID": pl.Int64})


def compare(network: Network, max_len: int, exported: Exported) -> float:
    """The largest difference of a probability on a few requests, empty histories among them."""
    rng, differences = np.random.default_rng(0), []
    n_items, n_users = exported.manifest.items, exported.manifest.users
    for n_candidates, length in ((1, 0), (1, 1), (9, max_len // 2), (300, max_len + 1)):
        request = draw(rng, n_items, n_users, n_candidates, length)
        expected = unfused(network, request, n_items, max_len).sigmoid()
        differences.append((exported.score(request).sigmoid() - expected).abs().max())
    return float(torch.stack(differences).max())


@torch.inference_mode()
def unfused(network: Network, request: Request, n_items: int, max_len: int) -> Tensor:
    """Logits (N,) of the network itself, in eval mode, for one row per candidate."""
    rows = request.rows(n_items, max_len)
    return network.eval()(rows.batch(torch.arange(len(rows))))


def draw(
    rng: np.random.Generator, n_items: int, n_users: int, n_candidates: int, length: int
) -> Request:
    """A random request; n_users is 0 where the network reads no users."""
    sizes = (n_items, length), (n_items, n_candidates), *[(N_LEVELS, n_candidates)] * 2
    ids = (torch.from_numpy(rng.integers(1, high, size)) for high, size in sizes)
    return Request(*ids, user=int(rng.integers(n_users)) if n_users else 0)
