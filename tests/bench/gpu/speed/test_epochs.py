"""The padded loop, at toy size on a CPU."""

import weakref

from bench.gpu.scale import NETWORKS, TOY_SCALE
from bench.gpu.speed import epochs


def test_the_memory_of_a_padded_network_is_its_own(monkeypatch):
    made, padded_network = [], epochs.PaddedNetwork

    def spy(network):
        module = padded_network(network)
        made.append(weakref.ref(module))
        return module

    monkeypatch.setattr(epochs, "PaddedNetwork", spy)
    alive = []
    for row in epochs.padded_loop(TOY_SCALE):
        alive.append((row["network"], sum(module() is not None for module in made)))
    assert alive == [(name, 1) for name in NETWORKS for _ in range(2)]
