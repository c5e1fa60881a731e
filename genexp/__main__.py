"""``python -m genexp`` is ``genexp``."""

import sys

from genexp.cli import main

if __name__ == "__main__":
    sys.exit(main())
