"""The fits of 50_train: data, checkpoints, processes."""
