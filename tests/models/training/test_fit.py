"""The training loop: step by hand, stopping, errors."""

import contextlib
import copy
import io
import itertools
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cv.auc import auc
from models.batches.feed import batches_on_device
from models.batches.plan import split
from models.layers import precision
from models.network import Network
from models.settings import FinalSettings, QnnSettings
from models.training import fit as fit_module
from models.training import warm_up
from models.training.fit import (
    CheckpointMismatch,
    fit,
    predict,
    train_epoch,
)
from models.training.losses import loss
from tests.helpers.networks.small import network, rows, settings

ROWS, LABEL = rows(n_rows=16)
S = settings(qnn=QnnSettings(layers=2, rows=2))
TABLES = (
    "item.id.weight",
    "item.tag.weight",
    "item.content_map.weight",
    "likes.weight",
    "views.weight",
)


STATES = itertools.count()


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    """Three epochs of two steps; no AUC of 16 rows ends a warm-up."""
    monkeypatch.setattr(warm_up, "STEPS", 6)


def run(s=S, seed=0, score=auc, **changed):
    net = network(s)
    torch.manual_seed(next(STATES))  # a fit depends on no other seed than its own
    cfg = replace(s.fit, **changed)
    report = fit(net, ROWS, LABEL, ROWS, LABEL, cfg, seed=seed, score=score)
    return net, report


@pytest.mark.parametrize("clip_norm", [0.05, 100.0])
def test_steps_are_those_of_the_published_loop_written_out(clip_norm):
    """log loss + lambda / 2 sum w^2 over whole tables, clipped by total norm, Adam: by hand."""
    net = network(settings(qnn=QnnSettings(layers=2, rows=2, dropout=0.0)))
    plain = copy.deepcopy(net)
    s = replace(S.fit, clip_norm=clip_norm, embedding_l2=0.1, learning_rate=0.01)
    batches = [torch.arange(8), torch.arange(8, 16)]
    optimiser = torch.optim.Adam(net.parameters(), lr=s.learning_rate, fused=True)
    train_epoch(net, batches_on_device(ROWS, LABEL, batches, torch.device("cpu")), optimiser, s)

    weights = dict(plain.named_parameters())
    m, v = ({k: torch.zeros_like(w) for k, w in weights.items()} for _ in range(2))
    for step, index in enumerate(batches, start=1):
        z = plain(ROWS.batch(index))
        lost = (z.clamp(min=0) + (-z.abs()).exp().log1p() - LABEL[index] * z).mean()
        lost = lost + 0.05 * sum((weights[k] ** 2).sum() for k in TABLES)
        grads = dict(zip(weights, torch.autograd.grad(lost, list(weights.values())), strict=True))
        norm = math.sqrt(sum((g**2).sum().item() for g in grads.values()))
        for k, w in weights.items():
            g = grads[k] * min(1, clip_norm / (norm + 1e-6))
            m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.999 * v[k] + 0.001 * g**2
            m_hat, v_hat = m[k] / (1 - 0.9**step), v[k] / (1 - 0.999**step)
            w.data -= 0.01 * m_hat / (v_hat.sqrt() + 1e-8)
    for k, w in net.named_parameters():
        torch.testing.assert_close(w, weights[k], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("before", ["float32", "tf32", "medium"])
@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        ("float32", ("ieee", "ieee")),
        ("tf32", ("tf32", "ieee")),
        ("medium", ("ieee", "bf16")),
        ("bf16", ("ieee", "ieee")),
        ("auto", ("ieee", "ieee")),
    ],
)
def test_forward_and_backward_multiply_as_set_and_predictions_exactly(
    before, wanted, want, monkeypatch
):
    """Whatever the switches are before; a CPU has both, whether or not it reads them."""
    seen = {"forward": [], "backward": [], "predict": []}

    def switches() -> tuple[str, ...]:
        return tuple(matmul.fp32_precision for matmul, _ in precision.SWITCHES.values())

    def record(name):
        seen[name].append(switches())

    def recorded_loss(net, *arguments):
        record("forward")
        lost = loss(net, *arguments)
        net.likes.weight.register_hook(lambda grad: record("backward"))
        return lost

    fused = Network.fused

    def recorded_fused(net):
        score = fused(net)
        return lambda batch: record("predict") or score(batch)

    monkeypatch.setattr(precision, "has_tf32", lambda device: True)
    monkeypatch.setattr(precision, "has_amx", lambda device: True)
    monkeypatch.setattr(precision, "AUTO_ON_CUDA", "float32")
    monkeypatch.setattr(fit_module, "loss", recorded_loss)
    monkeypatch.setattr(Network, "fused", recorded_fused)
    with precision.product_precision(before):
        set_before = switches()
        run(max_epochs=1, precision=wanted)
        assert switches() == set_before
    assert {name: set(values) for name, values in seen.items()} == {
        "forward": {want}, "backward": {want}, "predict": {("ieee", "ieee")}
    }  # fmt: skip


def test_one_seed_gives_equal_weights_bit_for_bit_and_another_does_not():
    (a, _), (b, _), (c, _) = run(seed=1), run(seed=1), run(seed=2)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_the_listwise_loss_trains_on_whole_slates():
    """The other losses, on batches of any rows."""
    net, seen = network(S), []

    class Recorded(Network):
        def hidden(self, batch):
            seen.append(batch)
            return super().hidden(batch)

    net.__class__ = Recorded
    cfg = replace(S.fit, max_epochs=1, batch_size=8, loss="listwise")
    fit(net, slates(), LABEL, slates(), LABEL, cfg, seed=0, score=auc)
    in_training = [batch for batch in seen if batch.slate is not None]
    assert len(in_training) == 2
    for batch in in_training:
        assert batch.slate.tolist() == [0] * 4 + [1] * 4
        assert len(set(batch.user.tolist())) == 2
    seen.clear()
    fit(net, slates(), LABEL, slates(), LABEL, replace(cfg, loss="bce"), seed=0, score=auc)
    assert all(batch.slate is None for batch in seen)


def test_the_best_epoch_is_what_remains():
    scores = iter([0.6, 0.9, 0.7, 0.8, 0.1])
    seen = []

    def score(label, logits):
        seen.append(logits)
        return next(scores)

    _, report = run(score=score, max_epochs=5, patience=3)
    assert (report.best_epoch, report.best_score, len(report.epochs)) == (2, 0.9, 5)
    assert torch.equal(report.held_logits, seen[1])


def test_the_weights_that_remain_give_the_logits_of_the_best_epoch():
    scores = iter([0.6, 0.9, 0.7])
    net, report = run(score=lambda *_: next(scores))
    assert torch.equal(predict(net, ROWS), report.held_logits)


DROPS = settings(qnn=QnnSettings(layers=2, rows=2, dropout=0.2))
FINAL = settings(interest="din", interaction="final", final=FinalSettings(block1=(6,), block2=(4,)))


def rough(label, logits):
    """A score that rises and falls at random, and depends on the logits alone."""
    return math.sin(1e4 * logits.double().sum().item())


def slates():
    """ROWS in slates of four rows."""
    number = (torch.arange(16) // 4).int()
    return replace(ROWS, user=number, history=number)


def fit_and_save(s, state=None, until=99, score=rough):
    """A fit's weights and report, and the state saved after every epoch; stopped after `until`."""
    states = []

    def save(state):
        states.append(io.BytesIO())
        torch.save(state(), states[-1])
        if len(states) == until:
            raise KeyboardInterrupt

    net, report = network(s), None
    data = slates() if s.fit.loss == "listwise" else ROWS
    torch.manual_seed(next(STATES))
    cfg = replace(s.fit, max_epochs=12, patience=4, decay_patience=2, decay=0.5, batch_size=8)
    with contextlib.suppress(KeyboardInterrupt):
        report = fit(
            net, data, LABEL, data, LABEL, cfg, seed=3, score=score, state=state, save=save
        )
    return net.state_dict(), report, states


def loaded(file):
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(a, b) -> bool:
    """Whether two trees of tensors and plain values are equal bit for bit, but for seconds."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


EMA = replace(DROPS, fit=replace(DROPS.fit, ema=0.7))
LISTWISE = replace(DROPS, fit=replace(DROPS.fit, loss="listwise", listwise_share=0.7))


@pytest.mark.parametrize(
    "s", [DROPS, FINAL, LISTWISE, EMA], ids=["qin", "final", "listwise", "ema"]
)
def test_a_fit_that_was_stopped_after_any_epoch_ends_as_one_that_was_not(s):
    weights, report, states = fit_and_save(s)
    n = len(states)
    assert n > 5
    assert len({record["learning_rate"] for record in report.epochs}) > 1
    assert report.best_epoch < n
    for stop in range(1, n + 1):
        *_, before = fit_and_save(s, until=stop)
        again, resumed, after = fit_and_save(s, loaded(before[-1]))
        assert len(after) == n - stop
        assert same(weights, again)
        assert same(asdict(report), asdict(resumed))
        seconds = [record["seconds"] for record in loaded(before[-1])["report"]["epochs"]]
        assert [record["seconds"] for record in resumed.epochs][:stop] == seconds
        if after:
            assert same(loaded(states[-1]), loaded(after[-1]))


PARTS = ("network", "optimiser", "best", "average", "steps", "stale", "report", "shuffle", "random")


@pytest.mark.parametrize("part", PARTS)
def test_whatever_a_state_leaves_out_changes_the_fit(part):
    s = EMA if part == "average" else DROPS
    weights, report, states = fit_and_save(s)
    state, fresh = loaded(states[report.best_epoch]), loaded(states[0])  # an epoch after the best
    assert state.keys() == {*PARTS, "random_gpu"}
    again, resumed, _ = fit_and_save(s, state | {part: fresh[part]})
    assert not (same(weights, again) and same(asdict(report), asdict(resumed)))


def test_an_average_of_the_weights_is_evaluated_and_kept_while_training_goes_on_without_it():
    """a_t of all weights and running statistics by hand, from the weights after every step."""
    scores = iter([0.6, 0.9, 0.7])
    plain, steps, averages = network(DROPS), [], []

    class Recorded(torch.optim.Adam):
        def step(self):
            super().step()
            steps.append({k: v.clone() for k, v in net.state_dict().items()})

    torch.manual_seed(next(STATES))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim, "Adam", Recorded)
        net, states = network(DROPS), []
        average = {k: v.clone() for k, v in net.state_dict().items()}
        cfg = replace(DROPS.fit, ema=0.3, max_epochs=3, batch_size=8, patience=3)
        report = fit(
            net, ROWS, LABEL, ROWS, LABEL, cfg, seed=3, score=lambda *_: next(scores),
            save=lambda state: states.append(copy.deepcopy(state()["network"])),
        )  # fmt: skip
    assert len(steps) == 6
    for t, weights in enumerate(steps, start=1):
        decay = min(0.3, (1 + t) / (10 + t))
        for k, v in average.items():
            if v.is_floating_point():
                v.lerp_(weights[k], 1 - decay)
        averages.append(copy.deepcopy(average))
    assert report.best_epoch == 2
    for k, v in net.state_dict().items():
        if v.is_floating_point():
            torch.testing.assert_close(v, averages[3][k], rtol=1e-12, atol=1e-12)
            assert torch.equal(states[1][k], steps[3][k])
    assert any("running_mean" in k for k in average)
    assert not torch.equal(averages[3]["likes.weight"], steps[3]["likes.weight"])
    plain.load_state_dict(net.state_dict())
    assert torch.equal(predict(plain, ROWS), report.held_logits)
    without = network(DROPS)
    scores = iter([0.6, 0.9, 0.7])
    cfg = replace(cfg, ema=0.0)
    fit(without, ROWS, LABEL, ROWS, LABEL, cfg, seed=3, score=lambda *_: next(scores))
    for k, v in without.state_dict().items():
        assert torch.equal(v, steps[3][k])


def test_the_learning_rate_rises_linearly_over_the_first_steps_of_a_fit(monkeypatch):
    """Two steps an epoch; records and the decay know the whole rate; a resumed fit goes on."""
    rates = []

    class Recorded(torch.optim.Adam):
        def step(self):
            rates.append(self.param_groups[0]["lr"])
            super().step()

    monkeypatch.setattr(torch.optim, "Adam", Recorded)
    s = replace(DROPS, fit=replace(DROPS.fit, warmup_steps=5, learning_rate=0.01))
    scores = iter([2.0, 3.0, 1.0, 1.0, 1.0, 1.0])  # beyond the warm-up of early stopping
    _, report, states = fit_and_save(s, score=lambda *_: next(scores))
    want = [0.002, 0.004, 0.006, 0.008, *[0.01] * 4, *[0.005] * 4]
    assert rates == pytest.approx(want)
    assert [e["learning_rate"] for e in report.epochs] == [0.01] * 4 + [0.005] * 2
    rates.clear()
    scores = iter([3.0, 1.0, 1.0, 1.0, 1.0])
    fit_and_save(s, loaded(states[0]), score=lambda *_: next(scores))
    assert rates == pytest.approx(want[2:])


def test_a_state_of_another_fit_is_refused():
    *_, states = fit_and_save(FINAL, until=1)
    with pytest.raises(CheckpointMismatch, match=r"RuntimeError: Error.* in loading state_dict"):
        fit_and_save(DROPS, loaded(states[0]))
    *_, states = fit_and_save(EMA, until=1)
    with pytest.raises(CheckpointMismatch, match="ValueError: zip"):
        fit_and_save(DROPS, loaded(states[0]))
    *_, states = fit_and_save(DROPS, until=1)
    for part in PARTS:
        state = loaded(states[0])
        del state[part]
        with pytest.raises(CheckpointMismatch, match=f"KeyError: '{part}'"):
            fit_and_save(DROPS, state)


def test_a_stale_score_lowers_the_learning_rate_and_then_ends_the_fit():
    """A score that lies beyond the warm-up's limit from the first epoch on."""
    _, report = run(score=lambda *_: 2.0, max_epochs=9, patience=3, decay=0.5, learning_rate=0.01)
    assert [e["learning_rate"] for e in report.epochs] == [0.01, 0.01, 0.005, 0.0025]


def test_in_the_warm_up_a_stale_score_counts_for_nothing():
    """Noise of a start by chance: the first epoch is the best of four; then the fit learns."""
    scores = iter([0.58, 0.54, 0.57, 0.56, 0.7, 0.8, 0.79, 0.78])
    _, report = run(score=lambda *_: next(scores), max_epochs=8, patience=2, batch_size=16)
    assert (len(report.epochs), report.best_epoch) == (8, 6)
    rates = [e["learning_rate"] for e in report.epochs]
    assert len(set(rates[:7])) == 1
    assert rates[7] < rates[6]


def test_a_fit_that_never_learns_ends_its_warm_up_after_so_many_steps():
    _, report = run(score=lambda *_: 0.5, max_epochs=20, patience=2, batch_size=8)
    assert len(report.epochs) == 2 + 2  # the warm-up's third epoch reaches its steps and counts


def test_a_warm_up_lasts_until_an_auc_is_beyond_what_chance_ranks():
    label = torch.cat((torch.ones(200), torch.zeros(600)))
    draws = torch.Generator().manual_seed(0)
    by_chance = [auc(label, torch.rand(800, generator=draws)) for _ in range(2000)]
    error = warm_up.chance_error(label)
    assert np.std(by_chance) == pytest.approx(error, rel=0.05)
    assert not warm_up.is_over(max(by_chance), error, steps=5)
    assert warm_up.is_over(max(by_chance), error, steps=6)
    assert warm_up.is_over(0.67, error, steps=0)
    assert warm_up.chance_error(torch.ones(800)) == math.inf


def test_divergence_is_an_error_that_names_epoch_and_learning_rate():
    with pytest.raises(
        FloatingPointError, match=r"epoch \d+: training loss .* learning rate 1e\+30"
    ):
        run(learning_rate=1e30, max_epochs=5)


def test_logits_that_are_not_finite_are_an_error_although_the_loss_was():
    with pytest.raises(FloatingPointError, match="16 of 16 held-out logits not finite"):
        run(learning_rate=1e30, batch_size=16, max_epochs=1)


@pytest.mark.parametrize(("n", "sizes"), [(9, [4, 5]), (8, [4, 4]), (10, [4, 4, 2]), (1, [1])])
def test_a_last_batch_of_one_row_joins_the_one_before(n, sizes):
    batches = split(torch.arange(n), 4)
    assert [len(b) for b in batches] == sizes
    assert torch.cat(batches).tolist() == list(range(n))


def test_a_plateau_never_raises_the_learning_rate():
    _, report = run(score=lambda *_: 0.5, max_epochs=4, patience=4, learning_rate=1e-8)
    assert [e["learning_rate"] for e in report.epochs] == [1e-8] * 4


def test_finals_loss_adds_distillation_and_one_block_does_not():
    batch = ROWS.batch(torch.arange(16))
    for block2, n in (((4,), 2), ((), 1)):
        final = FinalSettings(block1=(6,), block2=block2)
        net = network(settings(interaction="final", final=final)).eval()
        for weight in net.interaction.parameters():
            weight.data *= 0.1  # or p rounds to 1
        y = net.head(net.hidden(batch))
        p = torch.sigmoid(y.mean(1))
        want = F.binary_cross_entropy(p, LABEL)
        if n > 1:
            want = want + sum(F.binary_cross_entropy(torch.sigmoid(b), p.detach()) for b in y.T)
        assert y.shape == (16, n)
        torch.testing.assert_close(loss(net, batch, LABEL, S.fit), want)
