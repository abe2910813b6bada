"""Delivering: what a destination is told, and how its answers are judged. Nothing here writes a state."""
