"""What 15_probe and 55_mask measure."""
