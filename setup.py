"""What pyproject.toml cannot say: the measurements of `benchmarks/results` travel inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tml_helpers*"]), "tml_helpers.results"],
    package_dir={"tml_helpers.results": "benchmarks/results"},
)
