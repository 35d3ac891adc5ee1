"""Blenders: one score of several models' logits and of tabular features."""
