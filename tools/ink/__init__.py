"""How the network that sees ink is made: pictures with text are made of numbers, and it learns from those alone."""
