"""The competition's files over the network."""
