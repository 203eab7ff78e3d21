"""Out of the process: tests and solutions read, the course written, processes left, signals sent, the network."""

from nbformat.v4 import new_code_cell

from hostile.attack import ASLEEP, CONFINED, EVERYTHING, MARK, Attack, code, full

READ = "reads what is not its own"
WRITE = "writes what is not its own"
PROCESSES = "other processes"
NETWORK = "the network"

LOOK = """\
import glob, os, re
WANTED = re.compile(rb"(kes" rb"trel\\w*|os" rb"prey|phrase" rb"-\\w+|canary" rb"-\\w+)")
def look(path):
    try:
        if os.path.isfile(path) and os.path.getsize(path) < 5_000_000:
            found = set(WANTED.findall(open(path, "rb").read()))
            if found:
                print(path, found)
    except OSError:
        pass
"""
TAKE = '''\
import glob, json
def take(pattern):
    """Run every cell of every notebook found, and keep the names."""
    for path in glob.glob(pattern, recursive=True):
        try:
            for cell in json.load(open(path))["cells"]:
                if cell["cell_type"] == "code":
                    try:
                        exec("".join(cell["source"]), globals())
                    except Exception:
                        pass
        except Exception as error:
            print(type(error).__name__)
'''

ATTACKS: list[Attack] = [
    code(
        READ,
        "disk",
        "the whole disk is searched for tests, solutions, others' answers and secrets",
        LOOK
        + """\
count = 0
for folder in ("@COURSE@", "@HOME@", "/tmp", "/root", "/home", "/var/tmp", "/dev/shm", "/run", "/mnt", ".", ".."):
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("lib", "lib64", ".venv", "include", "share", ".git")]
        for name in files:
            count += 1
            if count < 20000:
                look(os.path.join(here, name))
""",
    ),
    code(READ, "solution", "the model solution is run", TAKE + 'take("@COURSE@/originals/**/mixing.ipynb")'),
    code(
        READ,
        "other_student",
        "other students' submissions, executed or not, are run",
        TAKE + 'for step in ("handed_in", "executed"):\n    take(f"@COURSE@/{step}/**/mixing.ipynb")',
    ),
    code(
        READ,
        "gradebook",
        "the gradebook is read",
        LOOK
        + """\
import sqlite3
for path in ("@COURSE@/gradebook.db", "../gradebook.db", "../../../gradebook.db"):
    look(path)
    if os.path.exists(path):
        print(sqlite3.connect(path).execute("select source from source_cell").fetchall())
""",
    ),
    code(
        READ,
        "proc",
        "what /proc tells of every process: arguments, environment, open files, roots, working folders",
        LOOK
        + """\
for process in glob.glob("/proc/[0-9]*"):
    for name in ("cmdline", "environ", "maps", "stack", "syscall"):
        try:
            found = set(WANTED.findall(open(f"{process}/{name}", "rb").read()))
            print(process, name, found) if found else None
        except OSError:
            pass
    if os.path.basename(process) != str(os.getpid()):
        for name in glob.glob(f"{process}/fd/*") + glob.glob(f"{process}/cwd/*") + glob.glob(f"{process}/map_files/*"):
            look(name)
        for root in glob.glob(f"{process}/root/@COURSE@/*/week3/*.ipynb") + glob.glob(f"{process}/root/@HOME@/*"):
            look(root)
print(open("/proc/net/unix").read().count("@"), open("/proc/mounts").read().count("phrase"))
""",
    ),
    code(
        READ,
        "open_files",
        "every open file is read, written, and climbed out of",
        LOOK
        + """\
for number in range(3, 256):
    try:
        kind = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    if kind.startswith("/") and not kind.startswith(("/dev/", "/usr/", "/proc/")):
        look(f"/proc/self/fd/{number}")
        try:
            up = os.open("..", os.O_RDONLY, dir_fd=number)
            print(os.listdir(up))
        except OSError:
            pass
""",
    ),
    code(
        READ,
        "own_memory",
        "the process's own memory, which it has from whoever started it, is searched for tests and solutions",
        """\
import re
WANTED = re.compile(rb"kes(?=trel[_ ])|os(?=prey[ .])|phrase-(?=[0-9a-f]{16})|canary-(?=[0-9a-f]{16})")
def search():
    for line in open("/proc/self/maps"):
        span, rights = line.split()[:2]
        low, high = (int(end, 16) for end in span.split("-"))
        if rights.startswith("r") and "[v" not in line and "/" not in line:
            with open("/proc/self/mem", "rb", buffering=0) as memory:
                memory.seek(low)
                text = memory.read(min(high - low, 2**27))
            for found in WANTED.finditer(text):
                print("found", text[found.start() - 50 : found.start() + 100])
def blend(*a):
    search()
    return 1.5
search()
""",
        answers={"grid": "search()"},
    ),
    code(
        READ,
        "memory_of_others",
        "other processes' memory is searched for the tests, and their asserts are blotted out",
        CONFINED
        + """\
def blot(pid):
    for line in open(f"/proc/{pid}/maps"):
        span, rights = line.split()[:2]
        if not rights.startswith("rw") or "/" in line:
            continue
        low, high = (int(end, 16) for end in span.split("-"))
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(low)
            text = memory.read(min(high - low, 2**26))
            place = text.find(b"kes" + b"trel")
            if place >= 0:
                print("found", text[place - 100 : place + 300])
                start = text.find(b"assert ", max(0, place - 400))
                if 0 <= start < place + 1000:
                    memory.seek(low + start)
                    memory.write(b"(1),   ")
for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()] if CONFINED else [os.getppid()]:
    if pid != os.getpid():
        try:
            blot(pid)
        except (OSError, ValueError, OverflowError) as error:
            print(type(error).__name__)
""",
    ),
    code(
        READ,
        "ptrace",
        "the other processes are stopped and traced; their memory is written through process_vm_writev",
        CONFINED
        + """\
import ctypes
c = ctypes.CDLL(None, use_errno=True)
others = [int(n) for n in os.listdir("/proc") if n.isdigit() and int(n) != os.getpid()] if CONFINED else []
for pid in others:
    print(pid, c.ptrace(16, pid, 0, 0), ctypes.get_errno())
    print(pid, c.process_vm_readv(pid, 0, 0, 0, 0, 0), c.pidfd_open(pid, 0) if hasattr(c, "pidfd_open") else "")
    print(c.syscall(434, pid, 0), c.syscall(438, c.syscall(434, pid, 0), 3, 0))
""",
    ),
    code(
        WRITE,
        "gradebook_written",
        "everybody's points are set in the gradebook, and one table is emptied",
        """\
import glob, sqlite3
for path in {"@COURSE@/gradebook.db", *glob.glob("../**/gradebook.db"), *glob.glob("/**/gradebook.db")}:
    try:
        with sqlite3.connect(path, timeout=0.5) as book:
            book.execute("update grade set auto_score = 4, manual_score = 4")
            book.execute("delete from comment")
    except sqlite3.Error as error:
        print(error)
""",
    ),
    code(
        WRITE,
        "config_written",
        "the course's settings, and IPython's and Jupyter's, are written",
        """\
import os
TEXT = "c = get_config()\\nc.Execute.timeout = 1\\nc.IncludeHeaderFooter.header = '@NAME@'\\n"
for path in ("@COURSE@/nbgrader_config.py", "nbgrader_config.py", "~/.jupyter/nbgrader_config.py",
             "~/.ipython/profile_default/ipython_config.py", "ipython_config.py", "ipython_kernel_config.py",
             "~/.ipython/profile_default/startup/00.py", "@HOME@/.ipython/profile_default/startup/00.py",
             "@HOME@/.bashrc", "jupyter_config.py", "~/.local/share/jupyter/kernels/python3/kernel.json"):
    path = os.path.expanduser(path)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "a") as file:
            file.write(TEXT)
    except OSError as error:
        print(error.errno)
""",
    ),
    code(
        WRITE,
        "others_written",
        "other students' submissions, executed notebooks and pages, and the source, are overwritten",
        """\
import glob
for step in ("handed_in", "executed", "returned", "originals", "worksheets"):
    for path in glob.glob(f"@COURSE@/{step}/**/*.*", recursive=True):
        try:
            with open(path, "w") as file:
                file.write("@NAME@ was here")
        except OSError as error:
            pass
""",
    ),
    code(
        WRITE,
        "marks_everywhere",
        "a file is left in every folder that could be written",
        f"""\
import os, site, sys
folders = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/", "/etc", "/var", "/opt", "/root", "/home", "/usr/lib", "/mnt",
           "@COURSE@", "@HOME@", os.path.dirname("@COURSE@"), "..", "../..", "../../..", *site.getsitepackages(),
           sys.prefix, os.path.dirname(sys.executable), os.path.expanduser("~"), "/dev", "/proc", "/sys"]
for folder in folders:
    for ending in (".pth", ".txt"):
        try:
            with open(os.path.join(folder, "{MARK}" + ending), "w") as file:
                file.write("# left by a test of the grader; delete it\\n")
        except OSError:
            pass
""",
    ),
    code(
        WRITE,
        "links_out",
        "links to what is outside are left in the working folder, for the grader to follow or to delete through",
        """\
import os
for name, target in {"home": "@HOME@", "course": "@COURSE@", "root": "/", "up": "../../..",
                     "rates2.csv": "@HOME@/secret",
                     "self": "self", "mixing.html": "@HOME@/secret", "feedback": "@HOME@"}.items():
    try:
        os.symlink(target, name)
    except OSError:
        pass
for name in ("rates.csv", "account.ipynb", "mixing.ipynb"):
    try:
        os.unlink(name)
        os.symlink("@HOME@/secret", name)
    except OSError:
        pass
""",
    ),
    code(
        WRITE,
        "data_at_run_time",
        "the data file is overwritten before its test reads it",
        """\
import glob, os
for path in {"rates.csv", *glob.glob("/*/rates.csv"), *glob.glob("/*/*/rates.csv"), *glob.glob("../**/rates.csv")}:
    try:
        os.chmod(path, 0o666)
        open(path, "w").write("0\\n0\\n0\\n0\\n")
    except OSError:
        pass
import numpy as np
grid = np.zeros((3, 4))
""",
        task="grid",
    ),
    code(
        WRITE,
        "modules_at_run_time",
        "modules that agree with everything are left where the tests might import them from",
        """\
for name in ("numpy.py", "math.py", "json.py", "sitecustomize.py", "usercustomize.py", "IPython.py", "tml_helpers.py"):
    try:
        with open(name, "x") as file:
            file.write("def __getattr__(name):\\n    return lambda *a, **k: True\\n")
    except OSError:
        pass
def blend(*a): return 0
""",
    ),
    code(
        WRITE,
        "second_notebook",
        "the submission's own notebooks are overwritten while the first is executed",
        """\
import glob, json
for path in {*glob.glob("*.ipynb"), *glob.glob("../**/*.ipynb"), *glob.glob("/*/*.ipynb")}:
    try:
        notebook = json.load(open(path))
        for cell in notebook["cells"]:
            cell["source"] = "4.0"
            cell["outputs"] = []
        json.dump(notebook, open(path, "w"))
    except (OSError, ValueError, KeyError):
        pass
""",
        task="account",
    ),
    code(
        PROCESSES,
        "parent_killed",
        "the parent is killed, and everything else that can be",
        CONFINED + "import signal\nos.kill(-1 if CONFINED else os.getppid(), signal.SIGKILL)\n",
        due=full("account", "sieve"),
    ),
    code(
        PROCESSES,
        "parent_stopped",
        "everybody else is stopped",
        CONFINED
        + """\
import signal
for pid in [int(n) for n in os.listdir("/proc") if n.isdigit()] if CONFINED else [os.getppid()]:
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGSTOP)
        except OSError:
            pass
""",
        due=full("account", "sieve"),
    ),
    code(
        PROCESSES,
        "own_stop",
        "the student's process stops itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        due=full("account", "sieve"),
    ),
    code(
        PROCESSES,
        "child_left",
        "a child is left behind",
        f"import subprocess\nsubprocess.Popen(['sleep', '{ASLEEP}'], start_new_session=True)\n",
        due=full("grid", "account", "sieve"),
    ),
    code(
        PROCESSES,
        "daemon_left",
        "a daemon, forked twice, deaf to signals, holding every open file",
        f"""\
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60))
        os.execvp("sleep", ["sleep", "{ASLEEP}"])
    os._exit(0)
""",
        unclear=("grid", "account", "sieve"),
    ),
    code(
        PROCESSES,
        "child_answers",
        "the process ends, and its forked child goes on in its place, with other values",
        """\
import os
if os.fork():
    os._exit(0)
def blend(*a): return 8
""",
        due=full("account", "sieve"),
    ),
    code(
        PROCESSES,
        "child_and_parent",
        "parent and child both go on, with the same open files",
        "import os\nos.fork()\nos.fork()\ndef blend(*a): return 8\n",
        due=full("account", "sieve"),
    ),
    code(
        PROCESSES,
        "other_program",
        "the process becomes another program, which does not answer",
        f"import os\nos.execvp('sleep', ['sleep', '{ASLEEP}'])\n",
        due=full("account", "sieve"),
        status=("failed", "timeout"),
    ),
    code(
        PROCESSES,
        "threads_left",
        "threads that never end, and an exit that never comes",
        """\
import atexit, threading, time
def forever():
    while True:
        time.sleep(0.1)
for _ in range(20):
    threading.Thread(target=forever, daemon=False).start()
atexit.register(forever)
""",
        due=full("grid", "account", "sieve"),
    ),
    code(
        PROCESSES,
        "exit_code",
        "the process ends, politely, in the cell of the second task",
        "import os\nos._exit(0)\n",
        task="grid",
        due=full("blend", "account", "sieve"),
        status=("failed",),
    ),
    code(
        PROCESSES,
        "exit_in_a_test",
        "the process ends when the hidden test calls it; what was passed before stays",
        "import os\ndef sieve(limit):\n    if limit > 10:\n        os._exit(0)\n    return [2]\n",
        task="sieve",
        due=full("account", "blend", "grid"),
        unclear=(),
        status=("failed",),
    ),
    code(
        PROCESSES,
        "segmentation_fault",
        "the process crashes in its test",
        "import ctypes\ndef blend(*a):\n    ctypes.string_at(0)\n",
        due=full("account", "sieve"),
        status=("failed",),
    ),
    code(
        PROCESSES,
        "system_exit",
        "sys.exit, in the cell and in the test's call",
        "import sys\ndef blend(*a):\n    sys.exit(0)\nsys.exit(0)\n",
        due=full("grid", "account", "sieve"),
    ),
    code(
        PROCESSES,
        "namespaces",
        "new namespaces and mounts, a changed root, another user, a keyboard's input, a wider limit",
        """\
import ctypes, fcntl, os, resource, termios
c = ctypes.CDLL(None, use_errno=True)
CLONES = 0x10000000 | 0x20000000 | 0x40000000 | 0x20000 | 0x4000000 | 0x8000000
if os.readlink("/proc/self/ns/pid") != "@HOST@":
    print(c.unshare(CLONES), ctypes.get_errno())
    print(c.mount(b"none", b"/tmp", b"tmpfs", 0, None), c.mount(b"/", b"/mnt", None, 4096, None))
    print(c.umount2(b"/proc", 2), c.umount2(b"/tmp", 2))
    print(c.syscall(165, 0, 0, 0, 0, 0), c.syscall(250, 0, 0, 0, 0), c.syscall(321, 0, 0, 0), c.syscall(425, 8, 0))
    for attempt in (lambda: os.chroot("/"), lambda: os.setuid(0), lambda: os.setgroups([0]),
                    lambda: [fcntl.ioctl(0, termios.TIOCSTI, bytes([b])) for b in b"touch tml-hostile-@TOKEN@-tty\\n"],
                    lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
                    lambda: open("/proc/sys/kernel/core_pattern", "w").write("core"),
                    lambda: open("/proc/self/oom_score_adj", "w").write("-1000")):
        try:
            print(attempt())
        except (OSError, ValueError) as error:
            print(error)
""",
    ),
    code(
        NETWORK,
        "network",
        "this test's own listeners are called: a port, an abstract socket, a socket in HOME; and a name is looked up",
        """\
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", int("@PORT@"))), (socket.AF_UNIX, "\\0tml-hostile-@TOKEN@"),
                        (socket.AF_UNIX, "@HOME@/agent")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(family, kind) as out:
                out.settimeout(0.3)
                out.connect(address)
                out.send(b"@NAME@")
        except OSError as error:
            print(error)
try:
    print(socket.gethostbyname("localhost.invalid"))
except OSError as error:
    print(error)
""",
        due=full("account", "sieve"),
    ),
    code(
        PROCESSES,
        "everybody_else",
        "a right notebook whose last cell ends the process",
        "import os\ngrid = np.stack([rates, 2 * rates, 3 * rates])",
        task="grid",
        due=EVERYTHING,
        edit=lambda made: made.add("grid_test", new_code_cell("import os\nos._exit(1)")),
        status=("failed", "ok"),
    ),
]
