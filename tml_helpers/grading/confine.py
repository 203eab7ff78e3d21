"""What a process of the grader gives up before it runs a submission: namespaces, files, rights, system calls, amounts.

Runs inside bubblewrap, in a process that was just forked. Linux only; everything through the C library.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

MIB = 2**20
JOB = "/job"  # the folder that a job has for itself
CLONE_FLAGS = {"user": 0x10000000, "mount": 0x00020000, "pid": 0x20000000, "net": 0x40000000}
CLONE_FLAGS |= {"ipc": 0x08000000, "uts": 0x04000000, "cgroup": 0x02000000, "time": 0x80}
OWN = sum(CLONE_FLAGS[name] for name in ("mount", "pid", "net", "ipc", "uts"))
MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
MS_BIND = 4096
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = (
    1,
    4,
    22,
    24,
    38,
    47,
)
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97

# Number of each denied call on x86-64 and on 64-bit ARM; None where there is none.
DENIED: dict[str, tuple[int, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    # files and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # the kernel
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_secret": (447, 447),
    # memory that no look at a process sees
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    # the machine
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "vhangup": (153, 58),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
}
# audit's name of the machine, and the numbers of clone, clone3, socket, ioctl and prctl
MACHINES = {"x86_64": (0xC000003E, 0, (56, 435, 41, 16, 157)), "aarch64": (0xC00000B7, 1, (220, 435, 198, 29, 167))}
SOCKET_FAMILIES = (1, 2, 10)  # unix and the internet's: there is no network, but programs ask whether there is
TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX


@dataclass(frozen=True)
class Limits:
    """What one process of a job may use: memory and files in MiB, CPU in seconds."""

    memory: int = 2048
    files: int = 256
    cpu: int = 3600
    processes: int = 64
    open_files: int = 512


def own_namespaces() -> None:
    """The children of this process see no other process, no network, and mounts of their own. Needs CAP_SYS_ADMIN."""
    _call("unshare", ctypes.c_int(OWN))


def own_mounts() -> None:
    """What this process writes into its own folder is seen by itself and its children alone."""
    _call("unshare", ctypes.c_int(CLONE_FLAGS["mount"]))
    _mount(b"tmpfs", JOB.encode(), b"tmpfs", 2 | 4, b"mode=0700")


def die_with_parent() -> None:
    """End this process when its parent ends."""
    _prctl(PR_SET_PDEATHSIG, 9)


def private_files(limits: Limits, places: list[str]) -> None:
    """In place of the shared ones: `/proc` of this namespace, and these folders, empty."""
    size = f"size={limits.files}m,nr_inodes=100000,mode=0700".encode()
    _mount(b"proc", b"/proc", b"proc", MS_NOSUID_NODEV_NOEXEC, None)
    for place in places:
        _mount(b"tmpfs", place.encode(), b"tmpfs", 2 | 4, size)


def hide(places: Sequence[str]) -> None:
    """Nothing is to be read at these places: an empty folder lies over each folder, an empty device over each file."""
    for place in places:
        if os.path.isdir(place):
            _mount(b"tmpfs", place.encode(), b"tmpfs", 1 | MS_NOSUID_NODEV_NOEXEC, b"mode=0555")
        else:
            _mount(os.devnull.encode(), place.encode(), b"", MS_BIND, None)


def give_up_rights() -> None:
    """No capability, none by executing a program, and no system call of those above: for good."""
    _prctl(PR_CAP_AMBIENT, 4)
    for capability in range(64):
        if _libc().prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _call("capset", header, none)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    program = seccomp_filter(platform.machine())
    code = ctypes.create_string_buffer(program, len(program))
    packed = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    _prctl(PR_SET_SECCOMP, 2, ctypes.create_string_buffer(packed, len(packed)))


def set_limits(limits: Limits) -> None:
    """Limits of this process and of each that it starts."""
    import resource

    for which, most in (
        (resource.RLIMIT_DATA, limits.memory * MIB),
        (resource.RLIMIT_FSIZE, limits.files * MIB),
        (resource.RLIMIT_CPU, limits.cpu),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (bound, bound))


def keep_only(*descriptors: int) -> None:
    """Close every other file; standard input, output and error go nowhere."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    low = 3
    for descriptor in sorted(descriptors):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 20)


def seccomp_filter(machine: str) -> bytes:
    """The filter as a program for the kernel (struct sock_filter, 8 bytes each): what is denied fails with EPERM."""
    audit, column, (clone, clone3, make_socket, ioctl, prctl) = MACHINES[machine]
    number, architecture, first_argument, second_argument = 0, 4, 16, 24

    def load(offset: int) -> tuple[int, int, int, int]:
        return 0x20, 0, 0, offset

    def fail(code: int) -> tuple[int, int, int, int]:
        return 0x06, 0, 0, 0x00050000 | code

    def unless_equal(value: int, skip: int) -> tuple[int, int, int, int]:
        return 0x15, 0, skip, value

    kill, allow = (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)
    new_namespace = sum(flag for name, flag in CLONE_FLAGS.items() if name != "time")
    program = [load(architecture), (0x15, 1, 0, audit), kill, load(number)]
    program += [(0x35, 0, 1, 0x40000000), kill]  # the second table of calls that x86-64 has
    for numbers in DENIED.values():
        if numbers[column] is not None:
            program += [unless_equal(numbers[column] or 0, 1), fail(EPERM)]
    program += [unless_equal(clone3, 1), fail(ENOSYS)]  # its flags cannot be read here; the C library falls back
    program += [unless_equal(clone, 4), load(first_argument), (0x45, 0, 1, new_namespace), fail(EPERM), load(number)]
    hide = [load(first_argument), unless_equal(PR_SET_DUMPABLE, 1), fail(EPERM), load(number)]
    program += [unless_equal(prctl, len(hide)), *hide]
    families = [(0x15, len(SOCKET_FAMILIES) - n, 0, family) for n, family in enumerate(SOCKET_FAMILIES)]
    program += [unless_equal(make_socket, len(families) + 3), load(first_argument), *families, fail(EAFNOSUPPORT)]
    program += [load(number)]
    requests = [(0x15, len(TERMINAL_INJECTION) - 1 - n, 0, request) for n, request in enumerate(TERMINAL_INJECTION)]
    requests[-1] = (0x15, 0, 1, TERMINAL_INJECTION[-1])
    program += [unless_equal(ioctl, 2 + len(requests)), load(second_argument), *requests, fail(EPERM), allow]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library. Raises OSError where it fails."""
    if getattr(_libc(), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _prctl(option: int, argument: int, pointer: object = 0) -> None:
    _call("prctl", ctypes.c_int(option), ctypes.c_ulong(argument), pointer, 0, 0)


def _mount(source: bytes, target: bytes, kind: bytes, flags: int, options: bytes | None) -> None:
    _call("mount", source, target, kind, ctypes.c_ulong(flags), options)
