"""The training loop, the losses, and one fit over several processes."""
