"""Every other page of the book in Chromium, light and dark: nothing leaves the machine, everybody can read it."""

import pytest
from built_site import toc_pages
from reading import Reader, faults

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", [*(name for name in toc_pages() if name.startswith("book/")), "search"])
def test_page(name: str, served: Reader, from_file: Reader) -> None:
    assert faults(name, served, from_file) == {}
