"""The tests of this folder need no system: what they share is rows.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
