"""The winning entry's interest against numpy loops.

Rows are written out padded, position by position and head by head; nothing is batched.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.layers.transformer import TransformerInterest
from models.settings import TransformerSettings
from tests.helpers.networks.small import history

D, U, MAX_LEN = 6, 9, 5
LENGTHS = (0, 1, 3, 5, 4)  # empty, one, partial, full, one pad
S = TransformerSettings(layers=2, heads=1, feedforward=7, last=3, dropout=0.0, mask="real")
BOTH = pytest.mark.parametrize("mask", ["real", "as_published"])
HEADS = pytest.mark.parametrize("heads", [1, 2])


def case(s: TransformerSettings, lengths=LENGTHS):
    """A layer with weights large enough for mistakes to show, target (B, D), items (U, D)."""
    torch.manual_seed(0)
    layer = TransformerInterest(D, s, MAX_LEN).double().eval()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
    h = history(lengths, U - 1)
    h.position.add_(1)  # 0 is the padding item
    target = torch.randn(len(lengths), D, dtype=torch.float64)
    return layer, target, torch.randn(U, D, dtype=torch.float64), h


def layer_norm(x, w, at):
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return (x - mean) / np.sqrt(variance + 1e-5) * w[f"{at}.weight"] + w[f"{at}.bias"]


def attention(x, kept, w, at, n_heads):
    """Every position's mixture of the kept ones, head by head."""
    in_weight, in_bias = w[f"{at}.in_proj_weight"], w[f"{at}.in_proj_bias"]
    n = x.shape[1]
    q, k, v = (
        x @ in_weight[i * n : (i + 1) * n].T + in_bias[i * n : (i + 1) * n] for i in range(3)
    )
    mixed, size = np.zeros_like(x), n // n_heads
    for head in range(n_heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(x)):
            weight = {
                j: np.exp(q[i, part] @ k[j, part] / np.sqrt(size)) for j in np.flatnonzero(kept)
            }
            for j, e in weight.items():
                mixed[i, part] += e / sum(weight.values()) * v[j, part]
    return mixed @ w[f"{at}.out_proj.weight"].T + w[f"{at}.out_proj.bias"]


def encoder(x, kept, w, s):
    for i in range(s.layers):
        at = f"layers.{i}"
        mixed = attention(x, kept, w, f"{at}.self_attn", s.heads)
        x = np.stack([layer_norm(row, w, f"{at}.norm1") for row in x + mixed])
        inner = np.maximum(0, x @ w[f"{at}.linear1.weight"].T + w[f"{at}.linear1.bias"])
        outer = inner @ w[f"{at}.linear2.weight"].T + w[f"{at}.linear2.bias"]
        x = np.stack([layer_norm(row, w, f"{at}.norm2") for row in x + outer])
    return x


def padded(h, b) -> list[int]:
    """Positions among the items of row b's history, padding (0) on the left."""
    real = h.position[h.offsets[b] : h.offsets[b + 1]].tolist()
    return [0] * (MAX_LEN - len(real)) + real


def kept_positions(length: int, mask: str) -> np.ndarray:
    """Real entries; as published the padding, and the last entry of a row without any."""
    real = np.array([i >= MAX_LEN - length for i in range(MAX_LEN)])
    kept = real if mask == "real" else ~real
    if not kept.any():
        kept[-1] = True
    return kept


def written_out(layer, s, target, items, h, b) -> np.ndarray:
    w = {name: value.numpy() for name, value in layer.state_dict().items()}
    t, places = target[b].numpy(), padded(h, b)
    kept = kept_positions(int(h.offsets[b + 1] - h.offsets[b]), s.mask)
    x = encoder(np.stack([np.r_[items[p].numpy(), t] for p in places]), kept, w, s)
    last = [x[i] if kept[i] else 0 * x[i] for i in range(MAX_LEN - s.last, MAX_LEN)]
    highest = np.stack([x[i] for i in np.flatnonzero(kept)]).max(0)
    return np.concatenate([*last, w["out.weight"] @ highest + w["out.bias"]])


@HEADS
@BOTH
@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])  # torch has two ways
def test_it_matches_the_equation_written_as_loops(mask, heads, grad):
    s = replace(S, mask=mask, heads=heads)
    layer, target, items, h = case(s)
    with torch.set_grad_enabled(grad):
        got = layer(target, items, h).detach().numpy()
    assert got.shape == (len(LENGTHS), layer.width)
    for b in range(len(LENGTHS)):
        want = written_out(layer, s, target, items, h, b)
        np.testing.assert_allclose(got[b], want, rtol=1e-9, atol=1e-9)


@HEADS
@BOTH
def test_gradients_are_those_of_finite_differences(mask, heads):
    layer, target, items, h = case(replace(S, mask=mask, heads=heads))
    leaves = [target.requires_grad_(), items.requires_grad_()]
    assert torch.autograd.gradcheck(lambda t, i: layer(t, i, h), leaves)


def test_training_without_dropout_computes_the_same():
    layer, target, items, h = case(S)
    torch.testing.assert_close(layer.train()(target, items, h), layer.eval()(target, items, h))


@pytest.mark.parametrize("last", [1, MAX_LEN])
def test_the_longest_history_of_the_batch_does_not_matter(last):
    layer, target, items, h = case(replace(S, last=last), lengths=(1, 0, 2))
    together = layer(target, items, h)
    for b, length in enumerate((1, 0, 2)):
        alone = history((length,), U)
        alone.position[:] = h.position[h.offsets[b] : h.offsets[b + 1]]
        torch.testing.assert_close(layer(target[b : b + 1], items, alone), together[b : b + 1])


def test_the_published_mask_sees_the_number_of_items_and_only_a_full_rows_last_one():
    layer, target, items, h = case(replace(S, mask="as_published"))
    before, first, last = layer(target, items, h), int(h.offsets[3]), int(h.offsets[4]) - 1
    h.position[:last] = h.position[:last] % (U - 1) + 1  # all but the last of the full row
    h.position[last + 1 :] = h.position[last + 1 :] % (U - 1) + 1
    assert last - first == MAX_LEN - 1
    assert torch.equal(layer(target, items, h), before)
    h.position[last] = h.position[last] % (U - 1) + 1
    changed = (layer(target, items, h) != before).any(1)
    assert changed.tolist() == [length == MAX_LEN for length in LENGTHS]


def test_the_mask_put_right_sees_every_item_and_the_padding_of_empty_histories_alone():
    layer, target, items, h = case(S)
    before = layer(target, items, h)
    for entry, row in enumerate(h.row.tolist()):
        items_there = h.position.clone()
        items_there[entry] = items_there[entry] % (U - 1) + 1
        changed = layer(target, items, replace(h, position=items_there)) != before
        assert changed.any(1).tolist() == [b == row for b in range(len(LENGTHS))]
    items[0] += 1
    changed = (layer(target, items, h) != before).any(1)
    assert changed.tolist() == [length == 0 for length in LENGTHS]


def test_heads_that_do_not_divide_the_width_are_refused_by_name():
    with pytest.raises(ValueError, match=r"transformer\.heads = 5 must divide 12"):
        TransformerInterest(D, replace(S, heads=5), MAX_LEN)
