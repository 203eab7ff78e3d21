"""What a model costs and who answers for it: energy, cards, and a log of decisions."""

from tml_helpers.impact.audit import AuditLog, LogHead, LogReport, SigningKey, signing_key
from tml_helpers.impact.cards import DataSheet, Measured, ModelCard, data_sheet, model_card
from tml_helpers.impact.energy import CounterWarning, Energy, Meter, Source, measure
from tml_helpers.impact.records import Commitment, canonical, commit, model_digest

__all__ = [
    "AuditLog",
    "Commitment",
    "CounterWarning",
    "DataSheet",
    "Energy",
    "LogHead",
    "LogReport",
    "Measured",
    "Meter",
    "ModelCard",
    "SigningKey",
    "Source",
    "canonical",
    "commit",
    "data_sheet",
    "measure",
    "model_card",
    "model_digest",
    "signing_key",
]
