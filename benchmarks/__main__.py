"""``python -m benchmarks``: the harness (``rsmooth.benchmarks``), from a checkout."""

import sys

from rsmooth.benchmarks.main import main

if __name__ == "__main__":
    sys.exit(main())
