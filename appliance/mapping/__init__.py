"""The way back: which pseudonym stands for whom. Own store, own user, encrypted."""
