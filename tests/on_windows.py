"""Run Python as the library meets it on Windows: `python tests/on_windows.py CODE [ARGUMENTS]`.

For `tml_helpers`, and for it alone, the modules and the names that only Unix has are not there, and the platform is
Windows. What the library is built on has its own ways on each system, and stays as it is.
"""

import builtins
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

ABSENT = {"crypt", "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
PROCESSES = {"fork", "killpg", "nice", "pidfd_open", "posix_spawn", "setpgid", "setsid", "wait", "wait4", "WNOHANG"}
USERS = {"chown", "fchown", "getegid", "geteuid", "getgid", "getgroups", "getuid", "initgroups", "setgid", "setuid"}
FILES = {
    "chroot",
    "eventfd",
    "fchmod",
    "lockf",
    "memfd_create",
    "mkfifo",
    "mknod",
    "pread",
    "pwrite",
    "sendfile",
    "statvfs",
}
FLAGS = {"O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"}
MACHINE = {"getloadavg", "sched_getaffinity", "sched_setaffinity", "sysconf", "uname"}
LACKS = {
    "os": PROCESSES | USERS | FILES | FLAGS | MACHINE,
    "select": {"epoll", "poll"},
    "signal": {"ITIMER_REAL", "SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGSTOP", "SIGUSR1", "alarm", "setitimer"},
    "socket": {"AF_UNIX", "SCM_RIGHTS", "SOCK_SEQPACKET", "recv_fds", "send_fds"},
    "sys": set[str](),
}


class OnWindows(ModuleType):
    """A module without what it lacks on Windows."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name in LACKS[self.__name__]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return "win32" if (self.__name__, name) == ("sys", "platform") else getattr(self._module, name)


MODULES = {module.__name__: OnWindows(module) for module in (os, select, signal, socket, sys)}
real_import = builtins.__import__


def import_on_windows(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    if str((globals or {}).get("__name__", "")).partition(".")[0] == "tml_helpers" and level == 0:
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in MODULES:
            return MODULES[name]
    return real_import(name, globals, locals, fromlist or (), level)


if __name__ == "__main__":
    code: CodeType = compile(sys.argv[1], "CODE", "exec")
    sys.argv[:2] = ["CODE"]
    builtins.__import__ = import_on_windows
    exec(code, {"__name__": "__main__"})
