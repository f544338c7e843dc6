"""Make the sender of route changes in tests/replay importable."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "replay"))
