"""``python -m rsmooth`` is the console script ``rsmooth``."""

import sys

from rsmooth.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
