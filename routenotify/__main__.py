"""`python -m routenotify` is the same as `routenotify`."""

import sys

from routenotify._cli import main

if __name__ == "__main__":
    sys.exit(main())
