"""Serving networks score as the networks do."""

import copy
import itertools

import pytest
import torch
from torch import nn

from models.layers.precision import has_bf16
from models.network import Network
from models.serving.interest import NoServingForm, serving_interest
from models.serving.network import ServingNetwork, serving_interaction
from models.serving.request import CANDIDATES_AT_ONCE, Request
from models.settings import (
    INTERACTIONS,
    INTERESTS,
    AstaSettings,
    CrossSettings,
    DinSettings,
    FinalSettings,
    MlpSettings,
    NetworkSettings,
    QnnSettings,
    TransformerSettings,
)
from tests.helpers.checkpoints import randomised
from tests.helpers.networks.small import N_ITEMS, N_USERS, network, settings

SIZES = {
    "din": DinSettings(hidden=(6, 4)),
    "qnn": QnnSettings(layers=3, rows=2),
    "mlp": MlpSettings(hidden=(8, 6)),
    "final": FinalSettings(block1=(8, 4), block2=(6,)),
    "transformer": TransformerSettings(feedforward=5, last=2, heads=2),
    "cross": CrossSettings(layers=2, deep=(6, 5), hidden=(4,), batch_norm=True),
}
RICH = {"item_levels": True, "item_codes": True, "user_id": True}
HISTORIES = {
    "empty": [],
    "one": [3],
    "repeated": [5, 3, 5],
    "padded": [0, 0, 4, 5],
    "longer than max_len": [1, 2, 3, 4, 5, 6, 7],
}


def of(**changed) -> NetworkSettings:
    return settings(**SIZES | changed)


def final(**changed) -> NetworkSettings:
    return of(interaction="final", final=FinalSettings(block1=(8, 4), **changed))


def transformer(**changed) -> NetworkSettings:
    return of(interest="transformer", transformer=TransformerSettings(feedforward=5, **changed))


PAIRS = {
    f"{interest}, {interaction}": of(interest=interest, interaction=interaction)
    for interest, interaction in itertools.product(INTERESTS, INTERACTIONS)
}
OPTIONS = {
    "all inputs": of(**RICH),
    "all inputs, din": of(**RICH, interest="din", interaction="mlp"),
    "all inputs, mean": of(**RICH, interest="mean"),
    "all inputs, transformer": of(**RICH, interest="transformer", interaction="cross"),
    "levels": of(item_levels=True),
    "codes": of(item_codes=True),
    "users": of(user_id=True),
    "asta, softmax": of(asta=AstaSettings(weights="softmax")),
    "asta, relu2": of(asta=AstaSettings(weights="relu2")),
    "asta, silu": of(asta=AstaSettings(weights="silu")),
    "asta, sigmoid": of(asta=AstaSettings(weights="sigmoid")),
    "asta, relu_offset": of(asta=AstaSettings(weights="relu_offset")),
    "asta, position": of(asta=AstaSettings(position=True)),
    "asta, softmax, position": of(asta=AstaSettings(weights="softmax", position=True)),
    "asta, narrow": of(asta=AstaSettings(width=3)),
    "din, softmax": of(interest="din", din=DinSettings(hidden=(6,), softmax=True)),
    "qnn, mid": of(qnn=QnnSettings(layers=2, rows=3, activate="mid")),
    "qnn, mid, relu": of(qnn=QnnSettings(layers=2, activate="mid", activation="relu")),
    "qnn, relu": of(qnn=QnnSettings(layers=2, activation="relu")),
    "qnn, no batch norm": of(qnn=QnnSettings(layers=2, batch_norm=False)),
    "mlp, no batch norm": of(interaction="mlp", mlp=MlpSettings(hidden=(8,), batch_norm=False)),
    "mlp, no hidden layer": of(interaction="mlp", mlp=MlpSettings(hidden=())),
    "final, one block": final(block2=()),
    "final, sum": final(block2=(6,), residual="sum"),
    "final, the paper's layer": final(block2=(5,), layer="paper", activation1="relu"),
    "final, the paper's layer, four steps": final(
        block2=(5,), layer="paper", steps=4, activation1="sigmoid", batch_norm=False
    ),
    "final, activations": final(block2=(6,), activation1="sigmoid", activation2="relu"),
    "final, no batch norm": final(block2=(6,), batch_norm=False, activation1="tanh"),
    "final, gating": of(
        interaction="final",
        content_dim=4,
        final=FinalSettings(block1=(8, 4), block2=(6,), gating=True),
    ),
    "cross, no batch norm": of(interaction="cross", cross=CrossSettings(deep=(6,), hidden=(4,))),
    "transformer, last only": transformer(last=1, layers=1),
    "transformer, as published": transformer(last=2, mask="as_published"),
}
ALL = pytest.mark.parametrize("s", [*PAIRS.values(), *OPTIONS.values()], ids=[*PAIRS, *OPTIONS])


def trained(s: NetworkSettings, dtype: torch.dtype = torch.float64) -> Network:
    return randomised(network(s)).to(dtype)


def request(history: list[int], n: int = 4, seed: int = 0) -> Request:
    g = torch.Generator().manual_seed(seed)
    columns = (torch.randint(0 if high == 11 else 1, high, (n,), generator=g) for high in HIGH)
    return Request(torch.tensor(history, dtype=torch.int64), *columns, user=3)


HIGH = (N_ITEMS, 11, 11)  # of candidates, likes, views


@torch.no_grad()
def directly(net: Network, asked: Request, max_len: int) -> torch.Tensor:
    return net.eval()(asked.rows(N_ITEMS, max_len).batch(torch.arange(len(asked.candidates))))


@ALL
def test_a_serving_network_scores_as_the_network_does(s):
    net = trained(s)
    serving, scores = ServingNetwork(net, s.max_len, torch.float64), []
    for history, n in itertools.product(HISTORIES.values(), (1, 4)):
        asked = request(history, n)
        want = directly(net, asked, s.max_len)
        torch.testing.assert_close(serving.score(asked), want, rtol=1e-11, atol=1e-11)
        scores.append(want)
    assert torch.cat(scores).std() > 1e-6


@ALL
def test_it_does_so_in_float32_to_a_hundred_thousandth(s):
    net = trained(s, torch.float32)
    serving = ServingNetwork(net, s.max_len)
    for history in HISTORIES.values():
        asked = request(history)
        got, want = serving.score(asked), directly(net, asked, s.max_len)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.sigmoid(), want.sigmoid(), rtol=0, atol=1e-5)


@pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this CPU has no AVX512-BF16")
@pytest.mark.parametrize("s", [PAIRS["asta, qnn"], PAIRS["din, mlp"]], ids=["qin", "din"])
def test_rounded_factors_change_a_little(s):
    net, asked = trained(s, torch.float32), request([1, 2, 3])
    exact, rounded = (ServingNetwork(net, s.max_len, rounded=r).score(asked) for r in (False, True))
    assert rounded.dtype == torch.float32
    assert 1e-6 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@ALL
def test_padding_in_front_changes_nothing(s):
    serving = ServingNetwork(trained(s), s.max_len, torch.float64)
    for history in ([], [3], [3, 4]):
        (piece,) = request(history).pieces(serving.shortest, serving.longest)
        (want,) = (serving(*piece),)
        longest = request(history).pieces(serving.longest, serving.longest)
        for padded in longest:
            assert len(padded[0]) == serving.longest >= len(piece[0])
            torch.testing.assert_close(serving(*padded), want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("s", [PAIRS["asta, qnn"], PAIRS["din, mlp"]], ids=["qin", "din"])
def test_many_candidates_are_scored_piece_by_piece(s):
    net, asked = trained(s), request([1, 2, 3], n=2 * CANDIDATES_AT_ONCE + 1)
    serving = ServingNetwork(net, s.max_len, torch.float64)
    torch.testing.assert_close(serving.score(asked), directly(net, asked, s.max_len))
    sizes = [len(piece[1]) for piece in asked.pieces(1, s.max_len)]
    assert sizes == [CANDIDATES_AT_ONCE, CANDIDATES_AT_ONCE, 1]


@pytest.mark.parametrize("s", [PAIRS["asta, qnn"], PAIRS["transformer, cross"]])
def test_it_leaves_the_network_alone_and_does_not_follow_it(s):
    net, asked = trained(s).train(), request([1, 2, 3])
    before = copy.deepcopy(net.state_dict())
    serving = ServingNetwork(net, s.max_len, torch.float64)
    scored = serving.score(asked)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(2)
    assert torch.equal(serving.score(asked), scored)


@pytest.mark.parametrize("interaction", ["qnn", "mlp", "final", "cross"])
def test_nothing_of_training_is_left(interaction):
    serving = ServingNetwork(trained(of(interaction=interaction)), 4)
    left = [
        m for m in serving.modules() if isinstance(m, nn.BatchNorm1d | nn.Dropout | nn.Embedding)
    ]
    assert left == []
    assert all(not weight.requires_grad for weight in serving.parameters())


def test_batch_norm_goes_into_the_linear_map_before_it_and_only_there():
    kinds = {
        interaction: {type(m).__name__ for m in ServingNetwork(trained(s), 4).modules()}
        for interaction, s in (("mlp", of(interaction="mlp")), ("final", of(interaction="final")))
    }
    assert "ScaleShift" not in kinds["mlp"]
    assert "ScaleShift" in kinds["final"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"candidates": [1, N_ITEMS]}, f"candidates: ids 1 to {N_ITEMS}, expected 0 to 11"),
        ({"history": [-1, 2]}, "history: ids -1 to 2, expected 0 to 11"),
        ({"likes": [0, 11]}, "likes: ids 0 to 11, expected 0 to 10"),
        ({"views": [-2, 0]}, "views: ids -2 to 0, expected 0 to 10"),
        ({"user": N_USERS}, f"user: id {N_USERS}, expected 0 to {N_USERS - 1}"),
    ],
)
def test_ids_outside_the_tables_are_refused_by_name(changed, message):
    fields = {"history": [1], "candidates": [1, 2], "likes": [0, 1], "views": [0, 1]}
    tensors = {k: torch.tensor(v) if k != "user" else v for k, v in (fields | changed).items()}
    serving = ServingNetwork(trained(of(user_id=True)), 4)
    with pytest.raises(ValueError, match=message):
        serving.score(Request(**tensors))


def test_networks_that_do_not_read_users_take_any():
    asked = Request(torch.tensor([1]), *torch.ones(3, 2, dtype=torch.int64), user=10**9)
    assert len(ServingNetwork(trained(of()), 4).score(asked)) == 2


def test_a_part_without_a_serving_form_is_named():
    with pytest.raises(NoServingForm, match="interest part Linear has no serving form"):
        serving_interest(nn.Linear(2, 2), torch.ones(3, 2), torch.float32)
    with pytest.raises(NoServingForm, match="interaction part Linear has no serving form"):
        serving_interaction(nn.Linear(2, 2))
