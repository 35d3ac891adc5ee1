"""Fits whose tables are large give the bytes of models.training.update; the bound of a step."""

import copy
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from models.fields.settings import FieldSettings
from models.settings import FitSettings, MlpSettings
from models.training import distributed, large_tables, warm_up
from models.training.fit import TrainState, fit
from models.training.large_tables import LargeTables, largest_move
from tests.helpers.networks import small

SIZES = (3, 40, 200)  # of the last field, many values are never read
CFG = FitSettings(
    batch_size=16, max_epochs=4, patience=9, learning_rate=0.01, warmup_steps=9, embedding_l2=1e-3
)  # 4 epochs of 15 steps; the rate decays


def rows(n, seed):
    random = torch.Generator().manual_seed(seed)
    columns = [(torch.rand(n, generator=random) ** 3 * (s - 1)).long() + 1 for s in SIZES]
    numbers = torch.rand(n, 2, generator=random)
    label = (torch.rand(n, generator=random) < 0.2 + 0.6 * numbers[:, 0]).float()
    return FieldRows(torch.stack(columns, dim=1), numbers), label


SCORES = (0.6, 0.5, 0.4, 0.7)  # of the epochs
TRAIN, HELD = rows(234, seed=1), rows(50, seed=2)


def run(cfg, state=None, save=lambda state: None, numeric=True):
    """A network with two tables, of 486 and 243 numbers, after its fit."""
    torch.manual_seed(0)
    settings = FieldSettings(
        explicit="fm", deep="mlp", first_order=True, embedding_dim=2, mlp=MlpSettings(hidden=(8,))
    )
    net, epoch = (
        FieldNetwork(settings, SIZES, 2 * numeric),
        len(state["report"]["epochs"]) if state else 0,
    )
    scores = iter(SCORES[epoch:])
    report = fit(
        net,
        *TRAIN,
        *HELD,
        cfg,
        seed=3,
        score=lambda *_: next(scores),
        state=copy.deepcopy(state),
        save=save,
    )
    return net.state_dict() | {"held": report.held_logits}


@pytest.fixture
def updates(monkeypatch):
    """Every table is large from now on, epochs without a better score count at once, and the list
    gets for each step whether it updated whole tables (True)."""
    whole, may_clip = [], LargeTables._may_clip

    def recorded(*arguments):
        whole.append(may_clip(*arguments))
        return whole[-1]

    monkeypatch.setattr(LargeTables, "_may_clip", recorded)
    monkeypatch.setattr(large_tables, "LARGE", 1)
    monkeypatch.setattr(warm_up, "STEPS", 1)
    return whole


def dense(run_fit):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(large_tables, "LARGE", 10**9)
        return run_fit()


def assert_equal_bytes(got, want):
    assert got.keys() == want.keys()
    assert [key for key in want if not torch.equal(got[key], want[key])] == []


@pytest.mark.parametrize(
    ("changed", "whole"),
    [
        ({}, {False}),
        ({"embedding_l2": 0.0}, {False}),
        ({"embedding_l2": 1.0}, {False}),
        ({"clip_norm": 1.5}, {False, True}),
        ({"clip_norm": 0.01}, {True}),
        ({"clip_norm": 0.01, "embedding_l2": 0.0}, {True}),
        ({"ema": 0.9, "loss": "focal"}, {False}),
    ],
)
@pytest.mark.parametrize("smallest", [1, 400])  # both tables are large, or one
def test_a_fit_ends_with_the_same_bytes(changed, whole, smallest, updates, monkeypatch):
    cfg = replace(CFG, **changed)
    monkeypatch.setattr(large_tables, "LARGE", smallest)
    got = run(cfg)
    assert set(updates) == whole
    assert len(updates) == 60
    assert_equal_bytes(got, dense(lambda: run(cfg)))


def test_a_network_whose_tables_are_all_large_ends_with_the_same_bytes(updates):
    got = run(CFG, numeric=False)
    assert False in updates
    assert_equal_bytes(got, dense(lambda: run(CFG, numeric=False)))


def test_networks_with_histories_end_with_the_same_bytes(updates):
    """Item ids are looked up by a module, tags are pooled without one."""
    label = small.rows(n_rows=16)[1].float()

    def trained():
        net = small.network(small.settings()).float()
        some = small.rows(n_rows=16)[0]
        cfg = replace(CFG, batch_size=4, clip_norm=1e4)
        fit(net, some, label, some, label, cfg, seed=0, score=lambda *_: 0.5)
        return net.state_dict()

    got = trained()
    assert set(updates) == {False}
    assert_equal_bytes(got, dense(trained))


def test_tables_that_share_their_weights_stay_dense(updates):
    net = small.network(small.settings()).float()
    net.likes.weight = net.views.weight
    large = LargeTables(net, CFG).modules
    assert net.item.id in large
    assert net.likes not in large
    assert net.views not in large


@pytest.mark.parametrize("interest", ["asta", "din", "mean"])
def test_a_backward_pass_reaches_a_table_of_items_or_users_by_one_lookup(interest):
    net = small.network(small.settings(interest=interest, user_id=True, item_codes=True))
    counts = lookups(net, small.rows()[0])
    assert counts["user"] == counts["item.id"] == 1
    assert set(counts.values()) == {1}


def test_a_backward_pass_reaches_a_table_of_fields_by_one_lookup():
    settings = FieldSettings(explicit="fm", deep="none", first_order=True)
    assert lookups(FieldNetwork(settings, SIZES, 2), HELD[0]) == {"embedding": 1, "first_order": 1}


def lookups(net, rows):
    """How often a forward pass calls each embedding that it calls."""
    counts = Counter()
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.Embedding):
            module.register_forward_hook(lambda *_, name=name: counts.update([name]))
    net(rows.batch(torch.arange(4)))
    return counts


def test_a_fit_resumes_with_the_same_bytes_also_where_the_tables_were_not_large(updates):
    def saved(states):
        return lambda state: states.append(copy.deepcopy(state()))

    mine, of_dense = [], []
    want = run(CFG, save=saved(mine))
    dense(lambda: run(CFG, save=saved(of_dense)))
    for state in (mine[1], of_dense[1]):
        assert_equal_bytes(run(CFG, state), want)
    assert_equal_bytes(dense(lambda: run(CFG, mine[1])), want)


def test_the_bound_of_the_norm_holds_after_every_step(updates, monkeypatch):
    state_step, gaps = TrainState.step, []

    def checked(state, network, *arguments):
        lost = state_step(state, network, *arguments)
        norm = math.sqrt(sum((t**2).sum().item() for t in network.embedding_tables()))
        gaps.append(state.large.norm - norm)
        return lost

    monkeypatch.setattr(TrainState, "step", checked)
    run(replace(CFG, learning_rate=0.1, warmup_steps=0, embedding_l2=0.1))
    assert 0 <= min(gaps) < max(gaps) < math.inf


def test_no_gradients_move_adam_further_than_the_bound():
    """By Cauchy and Schwarz, the worst gradients grow by b1 / b2 a step."""
    b1, b2, steps = 0.9, 0.999, 400

    def move(gradients):
        m = v = 0.0
        for g in gradients:
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        return m / math.sqrt(v)

    worst = [(b1 / b2) ** (steps - i) for i in range(steps)]
    assert move(worst) == pytest.approx(largest_move(b1, b2), rel=1e-9)
    random = torch.randn(20, steps, generator=torch.Generator().manual_seed(0)).tolist()
    assert max(map(move, random)) < largest_move(b1, b2)


def test_gradients_are_sparse_within_a_step_alone(updates):
    net = small.network(small.settings()).float()
    large = LargeTables(net, CFG)
    modules = [net.item.id, net.item.tag, net.likes, net.views]
    assert set(large.modules) >= set(modules)
    with large.sparse_gradients():
        assert all(module.sparse for module in modules)
    assert not any(module.sparse for module in modules)


def test_gradients_stay_dense_where_their_sums_would_round_otherwise_and_in_small_tables(
    updates, monkeypatch
):
    net = small.network(small.settings()).float()
    monkeypatch.setattr(large_tables, "LARGE", 10**9)
    assert not LargeTables(net, CFG).modules
    monkeypatch.setattr(large_tables, "LARGE", 1)
    assert LargeTables(net, CFG).modules
    assert not LargeTables(net, replace(CFG, loss="contrastive")).modules
    monkeypatch.setattr(distributed, "size", lambda: 2)
    assert not LargeTables(net, CFG).modules
