"""``python -m appliance.cli``: the same as ``appliance``."""

import sys

from appliance.cli.main import main

sys.exit(main())
