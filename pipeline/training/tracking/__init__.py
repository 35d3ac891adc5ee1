"""Epochs and scores of fits and trials for a tool that draws them: train.log."""
