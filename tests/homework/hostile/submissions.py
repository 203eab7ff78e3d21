"""All hostile and careless submissions."""

from hostile import careless, escapes, files, hooks, loops, notebooks, pages, values, wires
from hostile.attack import Attack

ATTACKS: list[Attack] = [
    attack
    for family in (hooks, escapes, loops, values, wires, notebooks, files, pages, careless)
    for attack in family.ATTACKS
]
