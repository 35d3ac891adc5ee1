"""Networks over fields."""
