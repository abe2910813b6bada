"""``python -m appliance.cli``: the same as ``appliance``."""

import sys

from appliance.cli.main import main

if __name__ == "__main__":  # worker processes import the main module
    sys.exit(main())
