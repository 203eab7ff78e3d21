"""What a job gives up: the filter of system calls, read as the kernel reads it, and what the kernel is asked for."""

import ctypes
import os
import platform
import resource
import struct
from typing import Any

import pytest

from tml_helpers.grading import confine
from tml_helpers.grading.confine import Limits, seccomp_filter

ALLOW, KILL = 0x7FFF0000, 0x80000000
# From Linux's headers: what may not be called, with its number in arch/x86/entry/syscalls/syscall_64.tbl and in
# include/uapi/asm-generic/unistd.h, which 64-bit ARM has.
CALLS = """
    acct 163 89, add_key 248 217, adjtimex 159 171, bpf 321 280, chroot 161 51, clock_adjtime 305 266,
    clock_settime 227 112, delete_module 176 106, fanotify_init 300 262, finit_module 313 273, fsconfig 431 431,
    fsmount 432 432, fsopen 430 430, fspick 433 433, init_module 175 105, io_uring_enter 426 426,
    io_uring_register 427 427, io_uring_setup 425 425, ioperm 173 -, iopl 172 -, kcmp 312 272,
    kexec_file_load 320 294, kexec_load 246 104, keyctl 250 219, memfd_create 319 279, memfd_secret 447 447,
    migrate_pages 256 238, modify_ldt 154 -, mount 165 40, mount_setattr 442 442, move_mount 429 429,
    move_pages 279 239, name_to_handle_at 303 264, open_by_handle_at 304 265, open_tree 428 428,
    perf_event_open 298 241, personality 135 92, pidfd_getfd 438 438, pivot_root 155 41, process_madvise 440 440,
    process_vm_readv 310 270, process_vm_writev 311 271, ptrace 101 117, quotactl 179 60, quotactl_fd 443 443,
    reboot 169 142, request_key 249 218, setdomainname 171 162, sethostname 170 161, setns 308 268,
    settimeofday 164 170, shmget 29 194, swapoff 168 225, swapon 167 224, syslog 103 116, umount2 166 39,
    unshare 272 97, userfaultfd 323 282, vhangup 153 58
"""
DENIED = {name: (int(x86), None if arm == "-" else int(arm)) for name, x86, arm in map(str.split, CALLS.split(","))}
MACHINES = {
    "x86_64": {"audit": 0xC000003E, "clone": 56, "clone3": 435, "socket": 41, "ioctl": 16, "prctl": 157},
    "aarch64": {"audit": 0xC00000B7, "clone": 220, "clone3": 435, "socket": 198, "ioctl": 29, "prctl": 167},
}
NAMESPACES = {  # CLONE_NEW... of linux/sched.h
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}


def failing(code: int) -> int:
    return 0x00050000 | code


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the kernel makes of a call: a small machine for the four kinds of instructions that the filter has."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, MACHINES[machine]["audit"] if audit is None else audit, 0, *words)
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


def test_the_same_calls_have_the_kernel_s_numbers() -> None:
    assert confine.DENIED == DENIED
    assert confine.MACHINES.keys() == MACHINES.keys()


@pytest.mark.parametrize("machine", MACHINES)
def test_denied_calls_fail_and_others_pass(machine: str) -> None:
    call = MACHINES[machine]
    denied = {numbers[list(MACHINES).index(machine)] for numbers in DENIED.values()} - {None}
    for number in range(500):
        if number in denied:
            assert verdict(machine, number, 2**32 - 1) == failing(1), number
        elif number not in (call["clone3"], call["socket"]):
            assert verdict(machine, number) == ALLOW, number
    assert verdict(machine, call["clone3"]) == failing(38), "the C library falls back to clone"
    assert verdict(machine, call["ioctl"], 0, 0x5401) == ALLOW
    for request in (0x5412, 0x541C):  # TIOCSTI and TIOCLINUX, which write into a terminal
        assert verdict(machine, call["ioctl"], 0, request) == failing(1)
    assert verdict(machine, call["prctl"], 4, 0) == failing(1), "to be hidden from the look at its memory"
    assert verdict(machine, call["prctl"], 38, 1) == ALLOW
    assert verdict(machine, call["clone"], 0x3D0F00) == ALLOW, "a thread"
    for name, flag in NAMESPACES.items():
        assert verdict(machine, call["clone"], 17 | flag) == failing(1), name
    assert verdict(machine, call["clone"], 17 | 0x80) == ALLOW, (
        "a part of the signal here: only clone3 reads CLONE_NEWTIME"
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_of_this_machine_only(machine: str) -> None:
    families = {family: verdict(machine, MACHINES[machine]["socket"], family, 1, 0) for family in range(50)}
    assert {family for family, said in families.items() if said == ALLOW} == {1, 2, 10}
    assert set(families.values()) == {ALLOW, failing(97)}


def test_another_machine_s_calls_end_the_process() -> None:
    """A 32-bit call has other numbers; so has the second table of x86-64."""
    assert verdict("x86_64", 20, audit=0x40000003) == KILL
    assert verdict("aarch64", 20, audit=0x40000028) == KILL
    assert verdict("x86_64", 0x40000000) == KILL
    assert verdict("x86_64", 0x40000000 + 39) == KILL


class Kernel:
    """A C library that writes down what it is asked for. It knows 41 capabilities."""

    def __init__(self, answer: int = 0) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        def function(*arguments: Any) -> int:
            plain = [getattr(a, "raw", getattr(a, "value", a)) for a in arguments]
            if name == "prctl" and plain[0] == 22:
                length, place = struct.unpack("HxxxxxxP", plain[2])
                plain[2] = ctypes.string_at(place, 8 * length)
            self.calls.append((name, *plain))
            return -1 if plain[:1] == [24] and plain[1] == 41 else self.answer

        return function


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(confine, "_libc", lambda: made)
    return made


@pytest.mark.parametrize("machine", MACHINES)
def test_rights_that_are_given_up(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    """Numbers as in linux/prctl.h and linux/capability.h: the ambient set, all capabilities, then the filter."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    confine.give_up_rights()
    bounding = [call for call in kernel.calls if call[:2] == ("prctl", 24)]
    assert bounding == [("prctl", 24, n, 0, 0, 0) for n in range(42)], "as many as there are, and one more to know it"
    assert [call for call in kernel.calls if call not in bounding] == [
        ("prctl", 47, 4, 0, 0, 0),
        ("capset", struct.pack("Ii", 0x20080522, 0), bytes(24)),
        ("prctl", 38, 1, 0, 0, 0),
        ("prctl", 22, 2, seccomp_filter(machine), 0, 0),
    ]
    assert kernel.calls.index(bounding[0]) < kernel.calls.index(("prctl", 38, 1, 0, 0, 0))


def test_namespaces_and_files_of_its_own(kernel: Kernel) -> None:
    confine.own_namespaces()
    confine.own_mounts()
    confine.die_with_parent()
    confine.private_files(Limits(files=7), ["/job", "/tmp"])
    options = b"size=7m,nr_inodes=100000,mode=0700"
    assert kernel.calls == [
        ("unshare", sum(NAMESPACES[name] for name in ("mount", "pid", "net", "ipc", "uts"))),
        ("unshare", NAMESPACES["mount"]),
        ("mount", b"tmpfs", b"/job", b"tmpfs", 2 | 4, b"mode=0700"),  # no set-user-id, no devices
        ("prctl", 1, 9, 0, 0, 0),
        ("mount", b"proc", b"/proc", b"proc", 2 | 4 | 8, None),  # and no programs
        ("mount", b"tmpfs", b"/job", b"tmpfs", 2 | 4, options),
        ("mount", b"tmpfs", b"/tmp", b"tmpfs", 2 | 4, options),
    ]


def test_what_the_kernel_refuses_ends_the_job(kernel: Kernel) -> None:
    kernel.answer = -1
    for step in (
        confine.own_namespaces,
        confine.own_mounts,
        confine.die_with_parent,
        confine.give_up_rights,
        lambda: confine.private_files(Limits(), []),
    ):
        with pytest.raises(OSError, match=r"unshare|prctl|mount"):
            step()


def test_an_error_is_the_kernel_s() -> None:
    with pytest.raises(OSError, match="close: Bad file descriptor") as refused:
        confine._call("close", ctypes.c_int(-1))
    assert refused.value.errno == 9


def test_limits_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page on scale says; where the machine allows less, that."""
    told: dict[int, tuple[int, int]] = {}
    hard = {resource.RLIMIT_NOFILE: 100, resource.RLIMIT_NPROC: 10**6}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (0, hard.get(which, resource.RLIM_INFINITY)))
    monkeypatch.setattr(resource, "setrlimit", told.__setitem__)
    confine.set_limits(Limits())
    most = {
        resource.RLIMIT_DATA: 2 * 2**30,
        resource.RLIMIT_FSIZE: 256 * 2**20,
        resource.RLIMIT_CPU: 3600,
        resource.RLIMIT_NPROC: 64,
        resource.RLIMIT_NOFILE: 100,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    assert told == {which: (bound, bound) for which, bound in most.items()}
    assert Limits().open_files == 512


def test_a_job_keeps_only_the_files_that_it_needs() -> None:
    mine, theirs = os.pipe()
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    kept = sorted([theirs, spare[1]])
    child = os.fork()
    if child == 0:
        try:
            confine.keep_only(*reversed(kept))
            with os.scandir("/proc/self/fd") as files:
                found = {int(file.name): os.readlink(file.path) for file in files}
            quiet = [found.get(standard) for standard in (0, 1, 2)]
            still = [n for n in found if n > 2 and not found[n].startswith("/proc/")]
            os.write(theirs, repr((quiet, sorted(still))).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    said = os.read(mine, 4096).decode()
    for descriptor in (mine, *spare):
        os.close(descriptor)
    assert said == repr(([os.devnull] * 3, kept))
