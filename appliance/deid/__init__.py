"""Meaning: what may leave, and under which names. Pure: no file, socket, clock, chance or database."""

from appliance.deid.instance import deidentify

__all__ = ["deidentify"]
