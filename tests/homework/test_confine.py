"""The filter of system calls: what it says of each call, read as the kernel reads it."""

import struct

import pytest

from tml_helpers.grading.confine import CLONE_FLAGS, DENIED, MACHINES, TERMINAL_INJECTION, seccomp_filter

ALLOW, KILL = 0x7FFF0000, 0x80000000


def failing(code: int) -> int:
    return 0x00050000 | code


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the kernel makes of a call: a small machine for the four kinds of instructions that the filter has."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, MACHINES[machine][0] if audit is None else audit, 0, *words)
    program = list(struct.iter_unpack("HBBI", seccomp_filter(machine)))
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            position += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_denied_calls_fail_and_others_pass(machine: str) -> None:
    column = MACHINES[machine][1]
    denied = {numbers[column] for numbers in DENIED.values()} - {None}
    clone, clone3, make_socket, ioctl, prctl = MACHINES[machine][2]
    for number in range(500):
        if number in denied:
            assert verdict(machine, number, 2**32 - 1) == failing(1), number
        elif number not in (clone3, make_socket):
            assert verdict(machine, number) == ALLOW, number
    assert verdict(machine, clone3) == failing(38), "the C library falls back to clone"
    assert verdict(machine, ioctl, 0, 0x5401) == ALLOW
    for request in TERMINAL_INJECTION:
        assert verdict(machine, ioctl, 0, request) == failing(1)
    assert verdict(machine, prctl, 4, 0) == failing(1), "to be hidden from the look at its memory"
    assert verdict(machine, prctl, 38, 1) == ALLOW
    assert verdict(machine, clone, 0x3D0F00) == ALLOW, "a thread"
    for name, flag in CLONE_FLAGS.items():
        if name != "time":  # its bit is part of the signal in clone; only clone3 can ask for it
            assert verdict(machine, clone, 17 | flag) == failing(1), name


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_of_this_machine_only(machine: str) -> None:
    make_socket = MACHINES[machine][2][2]
    families = {family: verdict(machine, make_socket, family, 1, 0) for family in range(50)}
    assert {family for family, said in families.items() if said == ALLOW} == {1, 2, 10}
    assert set(families.values()) == {ALLOW, failing(97)}


def test_another_machine_s_calls_end_the_process() -> None:
    """A 32-bit call has other numbers; so has the second table of x86-64."""
    assert verdict("x86_64", 20, audit=0x40000003) == KILL
    assert verdict("x86_64", 0x40000000 + 39) == KILL


@pytest.mark.parametrize(
    ("name", "x86_64", "aarch64"),
    [("ptrace", 101, 117), ("mount", 165, 40), ("unshare", 272, 97), ("bpf", 321, 280), ("keyctl", 250, 219)],
)
def test_numbers_are_the_kernel_s(name: str, x86_64: int, aarch64: int) -> None:
    assert DENIED[name] == (x86_64, aarch64)
