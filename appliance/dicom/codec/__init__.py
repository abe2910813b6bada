"""Pixels: from the bytes of a file to numbers and back, a frame at a time. No policy: nothing here hides anything."""
