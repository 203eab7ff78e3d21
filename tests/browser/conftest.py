import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))

from built_site import site

__all__ = ["site"]
