"""The command line: what an operator types. Each command is one module; everything else lives below."""

from appliance.cli.main import main

__all__ = ["main"]
