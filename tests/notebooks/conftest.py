import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
sys.path.insert(0, str(Path(__file__).parents[2] / "book/_ext"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from built_site import site

__all__ = ["site"]
