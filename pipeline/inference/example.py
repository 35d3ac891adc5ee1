"""Scores rows with the network that lies beside this file: model.onnx, described by serving.json.

    pip install numpy onnxruntime pyarrow   # pyarrow reads parquet, scoring does without it
    python example.py                       # rows.parquet, compared with the trained network
    python example.py --rows FILE --out scores.csv      # columns: see "column" in serving.json

In your own program:

    from example import ExportedNetwork
    network = ExportedNetwork("path/of/this/folder")
    p = network.probabilities(history=[3, 17, 5], candidates=[8, 9], likes=[0, 4], views=[1, 2])

Errors of the input are one line and exit code 2. This file needs nothing else: copy and change it.
"""

import argparse
import csv
import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
AT_ONCE = 10_000  # rows of a file


class Refused(ValueError):
    """An input that the network has no answer for; the text says what was expected."""


class ExportedNetwork:
    """The exported network of a folder, on `threads` threads of the CPU."""

    def __init__(self, folder=HERE, threads=1):
        import onnxruntime

        self.described = json.loads((Path(folder) / "serving.json").read_text(encoding="utf-8"))
        self.inputs = {one["name"]: one for one in self.described["inputs"]}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(Path(folder) / self.described["model"]),
            options,
            providers=["CPUExecutionProvider"],
        )

    def probabilities(self, history, candidates, likes, views, user=0):
        """Click probabilities (N,) float64 of N candidates that one user might be shown.

        history     item ids of what the user clicked, the oldest first; 0 is padding and dropped
        candidates  N item ids; likes, views: N levels
        user        read by networks whose serving.json has an input "user"
        Raises Refused.
        """
        given = {"candidates": candidates, "likes": likes, "views": views, "user": [user]}
        values = {name: self.checked(name, given[name]) for name in given if name in self.inputs}
        n = len(values["candidates"])
        for name in ("likes", "views"):
            if len(values[name]) != n:
                raise Refused(f"{name}: {len(values[name])} levels for {n} candidates")
        values["history"] = self.padded(self.checked("history", history))
        logits = []
        for first in range(0, n, self.described["candidates_at_once"]):
            piece = slice(first, first + self.described["candidates_at_once"])
            of_rows = {name: values[name][piece] for name in ("candidates", "likes", "views")}
            (logit,) = self.session.run([self.described["output"]["name"]], values | of_rows)
            logits.append(logit.astype(np.float64))
        return np.exp(-np.logaddexp(0, -np.concatenate(logits or [np.empty(0)])))  # sigmoid

    def checked(self, name, values):
        """`values` as int64, all of them in the input's range; of a history without its padding."""
        array = np.asarray(values if len(values) else np.empty(0, np.int64))
        whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and not (array % 1).any())
        if array.ndim != 1 or not whole:
            raise Refused(f"{name}: expected whole numbers, got {values}")
        array = array[array != 0] if name == "history" else array
        low, high = self.inputs[name]["range"]
        outside = array[(array < low) | (array > high)]
        if len(outside):
            raise Refused(f"{name}: got {outside[0]}, expected {low} .. {high}")
        return array.astype(np.int64)

    def padded(self, history):
        """The history, padded on the left to the shortest that the network takes."""
        shortest, longest = self.inputs["history"]["length"]
        if len(history) > longest:
            n = len(history)
            raise Refused(f"history: got {n} items, expected at most {longest}: give the last ones")
        return np.concatenate((np.zeros(max(shortest - len(history), 0), np.int64), history))

    def rows(self, table, cut=False, first=0):
        """Click probabilities (N,) of the rows of `table`, {column: list of N values}.

        Rows that follow each other with one user and one history are scored together. `cut` keeps
        the last items of histories that are too long, as in training. `first` is the number of the
        first row, for messages.
        """
        of = {name: table[one["column"]] for name, one in self.inputs.items()}
        users = of.get("user", [0] * len(of["history"]))
        rows = enumerate(zip(users, of["history"], strict=True))
        longest, scores = self.inputs["history"]["length"][1], []
        for (user, history), group in itertools.groupby(rows, key=lambda row: row[1]):
            at = [number for number, _ in group]
            columns = {
                name: [of[name][row] for row in at] for name in ("candidates", "likes", "views")
            }
            try:
                if np.ndim(history) != 1:
                    raise Refused(f"history: expected a list of item ids, got {history}")
                history = [item for item in history if item != 0]
                history = history[-longest:] if cut else history
                scores.append(self.probabilities(history, **columns, user=user))
            except Refused as refused:
                last = f" to {first + at[-1]}" if len(at) > 1 else ""
                raise Refused(f"row {first + at[0]}{last} (from 0): {refused}") from None
        return np.concatenate(scores or [np.empty(0)])


def read(path, required):
    """Yield {column: list} of blocks of a parquet file: `required` columns, ID and expected."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    there = file.schema_arrow.names
    missing = [name for name in required if name not in there]
    if missing or not file.metadata.num_rows:
        raise Refused(f"{path} has no {'column ' + ', '.join(missing) if missing else 'rows'}")
    names = [name for name in (*required, "ID", "expected") if name in there]
    for batch in file.iter_batches(AT_ONCE, columns=names):
        nulls = [name for name in names if batch[name].null_count]
        if nulls:
            raise Refused(f"{path} has nulls in {', '.join(nulls)}, expected none")
        yield batch.to_pydict()


def score(folder, rows, out=None, cut=False):
    """Score the file `rows`; returns the line that says what was done. Raises Refused."""
    if out is not None and out.exists() and os.path.samefile(rows, out):
        raise Refused(f"--out {out} is the file of the rows: name another")
    network, ids, scores, expected = ExportedNetwork(folder), [], [], []
    for table in read(rows, [one["column"] for one in network.inputs.values()]):
        scores.extend(network.rows(table, cut, first=len(scores)).tolist())
        ids.extend(table.get("ID", range(len(ids), len(scores))))
        expected.extend(table.get("expected", []))
    if out is not None:
        with open(out, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("ID", "probability"), *zip(ids, scores, strict=True)])
    line = f"{len(scores)} rows of {rows}, mean probability {np.mean(scores):.4f}"
    if expected:
        difference = np.abs(np.subtract(scores, expected)).max()
        line += f", at most {difference:.0e} from the trained network"
    return line


def main():
    parser = argparse.ArgumentParser(description="Score rows with the exported network.")
    parser.add_argument("--rows", type=Path, default=HERE / "rows.parquet")
    parser.add_argument("--out", type=Path, help="a csv: ID, probability")
    parser.add_argument(
        "--cut", action="store_true", help="of histories that are too long, read the last items"
    )
    arguments = parser.parse_args()
    try:
        print(score(HERE, arguments.rows, arguments.out, arguments.cut))
    except ImportError as error:
        print(f"error: {error}; pip install numpy onnxruntime pyarrow", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError) as error:  # Refused; a file that is no parquet, or cannot be read
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
