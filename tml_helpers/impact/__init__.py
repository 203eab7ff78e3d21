"""What a model costs and who answers for it: energy, cards, and a log of decisions."""


__all__ = [
]
