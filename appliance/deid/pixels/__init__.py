"""Pixels: where a picture may show who is in it, and what hides that."""
