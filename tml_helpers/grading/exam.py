"""What the collector and a submission's trusted process tell each other: the exam, a file to grade, the report."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Exam:
    """One notebook of an assignment, with what students do not get.

    released: the students' notebook, as JSON. full: the course's own cells with their hidden tests, by name. answers:
    the model solution's cells, by name. seconds: for one cell. key: seeds what tests draw without a seed of their own.
    withheld: modules that submissions do not have. gives: those of them that they have from a cell on, by its name.
    """

    assignment: str
    notebook: str
    released: dict[str, Any]
    full: dict[str, str]
    answers: dict[str, str]
    seconds: float
    key: str
    withheld: list[str] = field(default_factory=list)
    gives: dict[str, list[str]] = field(default_factory=dict)

    @property
    def limit(self) -> str:
        return f"{self.seconds:g} seconds"

    def as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Exam":
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Request:
    """A file to grade.

    allowed: what tests did to objects of the model solution; None for that itself, whose report says it. prepared:
    whether there is a process in which the leading cells have been run. seconds: for the whole notebook.
    """

    name: str
    content: bytes
    allowed: set[tuple[str, str]] | None
    prepared: bool
    seconds: float


@dataclass
class Report:
    """What became of one notebook: all of it is validated again by the collector."""

    status: str = "ok"
    remarks: list[str] = field(default_factory=list)
    scores: dict[str, float | None] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    notebook: dict[str, Any] | None = None
    fragments: list[dict[str, str]] = field(default_factory=list)
    allowed: list[tuple[str, str]] = field(default_factory=list)
