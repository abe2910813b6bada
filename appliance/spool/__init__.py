"""Keeping: files that survive a power cut, and the rows that remember them. The only SQL on each side is here."""
