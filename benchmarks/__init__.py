"""Synthetic cases, witness cases and measurements; nothing of the product imports this."""
