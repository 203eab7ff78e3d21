"""Fetch the full form of every data set that has one, into the cache: the weekly run names it as TML_DATA_DIR."""

import inspect

from tml_helpers._console import on_any_console
from tml_helpers.data import LOADERS, cache_folder


def main() -> None:
    for name, load in LOADERS.items():
        choices = inspect.signature(load).parameters
        if "source" in choices:
            for split in [{"split": "train"}, {"split": "test"}] if "split" in choices else [{}]:
                print(f"{name}: {load(source='full', **split)}")
    print(f"in {cache_folder()}")


if __name__ == "__main__":
    on_any_console()
    main()
