"""The former name of `python -m comparisons.testing.long_horizon`, which still works and says
so."""

import sys

from comparisons.testing.long_horizon import main

if __name__ == "__main__":
    print(
        "python -m comparisons.think is now python -m comparisons.testing.long_horizon",
        file=sys.stderr,
    )
    sys.exit(main())
