"""From out-of-fold logits of the models to one score."""
