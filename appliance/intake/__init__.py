"""How images come in: by the network (scp) and by folders (inbox); both end at the same door."""
