"""``python -m rsmooth.benchmarks``: the comparison harness, from a wheel as from a checkout."""

import sys

from rsmooth.benchmarks.main import main

if __name__ == "__main__":
    sys.exit(main())
