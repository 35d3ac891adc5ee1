"""The parts of an update; tests/models/training/test_fit.py has its steps written out."""

import torch

from models.settings import QnnSettings
from models.training.update import add_embedding_l2
from tests.helpers.networks.small import network, settings
from tests.models.training.test_fit import TABLES


def test_the_l2_shortcut_adds_the_gradient_of_the_penalty():
    net = network(settings(qnn=QnnSettings(layers=2, rows=2)))
    tables = net.embedding_tables()
    penalty = 0.05 * sum((dict(net.named_parameters())[k] ** 2).sum() for k in TABLES)
    want = torch.autograd.grad(penalty, tables)
    for table in tables:
        table.grad = torch.zeros_like(table)
    add_embedding_l2(tables, 0.1)
    for table, w in zip(tables, want, strict=True):
        torch.testing.assert_close(table.grad, w)
