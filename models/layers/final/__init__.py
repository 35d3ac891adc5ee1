"""FINAL (Zhu et al. 2023): its layer, as published and as in the paper; blocks of it; its loss."""
