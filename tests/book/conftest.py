import sys
from pathlib import Path

from built_site import site

sys.path.insert(0, str(Path(__file__).parents[2] / "book/_ext"))

__all__ = ["site"]
