"""Networks for ONNX Runtime."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from features.errors import InputError
from models.serving.request import CANDIDATES_AT_ONCE, Request
from pipeline.inference import export as exporting
from pipeline.inference.export import Exported, export
from pipeline.inference.serving_json import MANIFEST, MODEL
from tests.helpers.networks.small import N_ITEMS, N_USERS
from tests.helpers.networks.toy_interaction import ToyInteraction
from tests.models.serving.test_serving import HISTORIES, OPTIONS, PAIRS, directly, request, trained
from tests.pipeline.inference.conftest import FIT

NETWORKS = {
    "qin": OPTIONS["all inputs"],
    "qin, position": OPTIONS["asta, softmax, position"],
    "din": PAIRS["din, mlp"],
    "final": PAIRS["din, final"],
    "final, the paper's layer": OPTIONS["final, the paper's layer"],
    "transformer_dcn": PAIRS["transformer, cross"],
    "transformer, as published": OPTIONS["transformer, as published"],
}
QIN = trained(NETWORKS["qin"], torch.float32)


@pytest.fixture
def qin(exported, tmp_path) -> Path:
    """An exported QIN that a test may break."""
    return Path(shutil.copytree(exported, tmp_path / "serving"))


@pytest.mark.parametrize("s", NETWORKS.values(), ids=NETWORKS)
def test_an_exported_network_scores_as_the_network_does(tmp_path, s):
    net, folder = trained(s, torch.float32), tmp_path / "new" / "serving"
    assert export(net, s.max_len, folder) < 1e-5
    exported = Exported(folder)
    for history in HISTORIES.values():
        for n in (1, 2, 5, CANDIDATES_AT_ONCE + 1):
            one = request(history, n)
            got, want = exported.score(one), directly(net, one, s.max_len)
            assert got.dtype == torch.float32
            torch.testing.assert_close(got.sigmoid(), want.sigmoid(), rtol=0, atol=1e-5)
    assert [path.name for path in folder.parent.iterdir()] == ["serving"]


def test_its_manifest_lists_what_a_caller_must_know(qin):
    described = json.loads((qin / MANIFEST).read_text())
    limits = {
        "history": ["entries", 1, N_ITEMS - 1, "item_seq"],
        "candidates": ["candidates", 1, N_ITEMS - 1, "item_id"],
        "likes": ["candidates", 0, 10, "likes_level"],
        "views": ["candidates", 0, 10, "views_level"],
        "user": [1, 0, N_USERS - 1, "user_id"],
    }
    got = {i["name"]: [*i["shape"], *i["range"], i["column"]] for i in described["inputs"]}
    assert got == limits
    assert {one["dtype"] for one in described["inputs"]} == {"int64"}
    assert all(one["meaning"] for one in described["inputs"])
    history = described["inputs"][0]
    assert history["length"] == [1, 4]
    assert history["order"].startswith("oldest first")
    assert history["padding"].startswith("0, on the left")
    assert "sigmoid" in described["output"]["apply"]
    assert described["fit"] == FIT
    session = Exported(qin).session
    assert [one.name for one in session.get_inputs()] == list(limits)
    assert [one.type for one in session.get_inputs()] == ["tensor(int64)"] * 5
    assert [(one.name, one.type) for one in session.get_outputs()] == [("logits", "tensor(float)")]


def test_ids_outside_the_tables_are_refused(qin):
    beyond = Request(torch.tensor([1]), *torch.full((3, 1), N_ITEMS))
    with pytest.raises(ValueError, match="candidates: ids 12 to 12, expected 0 to 11"):
        Exported(qin).score(beyond)


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-code-ran"),))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (MANIFEST, pickle.dumps(Hostile()), "serving.json cannot be read as JSON"),
        (
            MANIFEST,
            b'{"output": "logits"}',
            "serving.json does not describe an exported network (KeyError('inputs'))",
        ),
        (MANIFEST, None, "serving.json; expected JSON"),
        (MODEL, pickle.dumps(Hostile()), "model.onnx cannot be loaded as a network"),
        (MODEL, b"", "model.onnx cannot be loaded as a network"),
        (MODEL, None, "model.onnx cannot be loaded as a network"),
    ],
)
def test_other_files_are_refused_and_run_nothing(qin, monkeypatch, name, content, message):
    monkeypatch.chdir(qin.parent)
    (qin / name).unlink()
    if content is not None:
        (qin / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        Exported(qin)
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not Path("hostile-code-ran").exists()


def test_an_export_that_differs_from_its_network_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "MAX_DIFFERENCE", -1.0)
    with pytest.raises(InputError, match=r"is not written: a probability differs by"):
        export(QIN, 4, tmp_path / "serving")
    assert list(tmp_path.iterdir()) == []
    broken = trained(NETWORKS["qin"], torch.float32)
    torch.nn.init.constant_(broken.interaction.head.bias, float("nan"))
    with pytest.raises(InputError, match=r"are its weights finite\?"):
        export(broken, 4, tmp_path / "serving")
    assert list(tmp_path.iterdir()) == []


def test_a_part_without_a_serving_form_is_named_and_nothing_is_written(tmp_path):
    net = trained(NETWORKS["qin"], torch.float32)
    net.interaction = ToyInteraction(net.interaction.head.in_features)
    with pytest.raises(InputError, match="neither exported nor timed: the interaction part Toy"):
        export(net, 4, tmp_path / "serving")
    assert not list(tmp_path.iterdir())
