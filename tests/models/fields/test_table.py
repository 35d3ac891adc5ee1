"""Rows of fields and the tables of their vectors."""

import pytest
import torch

from models.fields.network import FieldNetwork
from models.fields.rows import FieldRows
from tests.models.fields.test_network import BATCH, NUMBERS, settings

SIZES = (40, 60, 50)


@pytest.mark.parametrize("numbers", [NUMBERS, None])
def test_a_batch_holds_the_rows_asked_for(numbers):
    rows, index = FieldRows(BATCH, numbers), torch.tensor([4, 0])
    assert len(rows) == 12
    assert rows.device == BATCH.device
    batch = rows.batch(index)
    assert torch.equal(batch.columns, BATCH[[4, 0]])
    assert batch.numbers is None if numbers is None else torch.equal(batch.numbers, numbers[index])


@pytest.mark.parametrize(
    ("parts", "tables"),
    [(("none", "mlp"), 1), (("fm", "mlp", True), 2), (("none", "none", True), 1)],
)
def test_embeddings_begin_small_with_zero_padding_and_all_are_under_l2(parts, tables):
    net = FieldNetwork(settings(*parts), SIZES)
    assert len(net.embedding_tables()) == tables
    for table in net.embedding_tables():
        padding = table[[0, 40, 100]]
        assert not padding.any()
        others = table[[i for i in range(150) if i not in (0, 40, 100)]]
        assert 5e-5 < others.std() < 2e-4
        assert others.all()


def test_without_rows_of_padding_every_row_is_a_value_and_begins_small():
    net = FieldNetwork(settings("fm", first_order=True, padding_rows=False), SIZES)
    for table in net.embedding_tables():
        assert len(table) == 147
        assert table.all()
        assert 5e-5 < table.std() < 2e-4
    lowest, highest = (torch.tensor([[x] * 3]) for x in (1, 39))
    assert (lowest + net.embedding.first).tolist() == [[0, 39, 98]]
    assert (highest + net.embedding.first).tolist() == [[38, 77, 136]]


def test_numeric_fields_begin_as_xavier_normal_maps_and_are_under_l2():
    torch.manual_seed(0)
    net = FieldNetwork(settings("fm", first_order=True, embedding_dim=10), SIZES, 300)
    tables = net.embedding_tables()
    assert [tuple(table.shape) for table in tables] == [(150, 10), (300, 10), (150, 1), (300, 1)]
    for numeric, width in ((tables[1], 10), (tables[3], 1)):
        spread = (2 / (1 + width)) ** 0.5
        assert 0.85 * spread < numeric.std() < 1.15 * spread
