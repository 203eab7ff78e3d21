"""What a model costs and who answers for it: energy, cards, and a log of decisions."""

from tml_helpers.impact.audit import AuditLog, LogHead, LogReport, SigningKey, signing_key
from tml_helpers.impact.records import Commitment, canonical, commit, model_digest

__all__ = [
    "AuditLog",
    "Commitment",
    "LogHead",
    "LogReport",
    "SigningKey",
    "canonical",
    "commit",
    "model_digest",
    "signing_key",
]
