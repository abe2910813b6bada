"""Meaning: what may leave, and under which names. Pure: no file, socket, clock, chance or database."""
