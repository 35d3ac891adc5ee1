"""Networks over fields: rows, embeddings, explicit parts and the networks made of them."""
