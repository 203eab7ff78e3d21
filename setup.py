"""What pyproject.toml cannot say: measurements and homework travel inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tml_helpers*"]), "tml_helpers.results", "tml_helpers.exercises"],
    package_dir={"tml_helpers.results": "benchmarks/results", "tml_helpers.exercises": "exercises"},
)
