"""What never ends, and what takes everything: time, memory, disk, output, files, processes. All of it is bounded."""

from nbformat.v4 import new_code_cell

from hostile.attack import ASLEEP, EVERYTHING, Attack, code, full

LOOPS = "never ends"
RESOURCES = "takes everything"

REST = full("grid", "account", "sieve")
OTHER = full("account", "sieve")
DEAF = """\
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, signal.SIGXCPU):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
"""

ATTACKS: list[Attack] = [
    code(LOOPS, "loop", "a loop; what comes after it is still graded", "while True:\n    pass\n", due=REST),
    code(
        LOOPS,
        "loop_in_a_cell_of_its_own",
        "all is answered; a cell that was for trying out loops",
        "import time\n" + "def blend(v, w):\n    return sum(a * b for a, b in zip(v, w)) / sum(w)\n",
        due=EVERYTHING,
        edit=lambda made: made.add("grid_test", new_code_cell("while True:\n    time.sleep(0.01)")),
    ),
    code(
        LOOPS,
        "loop_in_the_function",
        "a loop where only the hidden test comes",
        "def sieve(limit):\n    while limit > 10:\n        pass\n    return [2, 3, 5, 7]\n",
        task="sieve",
        due=full("account", "blend", "grid"),
    ),
    code(
        LOOPS,
        "loop_deaf",
        "a loop that catches every interruption",
        """\
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
""",
        due=OTHER,
        status=("failed", "timeout"),
    ),
    code(
        LOOPS,
        "loop_deaf_to_signals",
        "a loop with every signal ignored and blocked",
        DEAF + "while True:\n    pass\n",
        due=OTHER,
        status=("failed", "timeout"),
    ),
    code(
        LOOPS,
        "loop_in_c",
        "a regular expression that ends in a thousand years",
        "import re\nre.match('(a+)+b', 'a' * 60)\n",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        LOOPS,
        "huge_power",
        "an integer that takes hours, in one instruction",
        "number = 3 ** (10 ** 9)\n",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        LOOPS,
        "sleep_and_wait",
        "a lock that nobody opens",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
        due=REST,
    ),
    code(
        LOOPS,
        "keyboard",
        "words are waited for that nobody types, in the cell and in the test",
        """\
import sys, getpass
def blend(values, weights):
    return input("weights? ")
try:
    input("name? ")
finally:
    sys.stdin.read()
    getpass.getpass()
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        LOOPS,
        "talking_loop",
        "a loop that always prints a little",
        "import time\nwhile True:\n    print('.', end='', flush=True)\n    time.sleep(0.01)\n",
        due=REST,
    ),
    code(
        LOOPS,
        "repr",
        "what the cell shows never ends",
        """\
class Shown:
    def __repr__(self):
        while True:
            pass
    _repr_html_ = _repr_mimebundle_ = _ipython_display_ = __str__ = __repr__
Shown()
""",
        due=REST,
    ),
    code(
        LOOPS,
        "finalizer",
        "what is thrown away never ends",
        """\
import gc
class Gone:
    def __del__(self):
        while True:
            pass
a = Gone()
def blend(*a):
    Gone()
    return 8
del a
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        LOOPS,
        "compile_time",
        "constants that the compiler folds for ever, and a class statement that does not come back",
        """\
import itertools
class Slow(type):
    def __prepare__(*a, **k):
        return dict.fromkeys(itertools.count())
class Never(metaclass=Slow):
    pass
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        LOOPS,
        "async_forever",
        "an event loop that never ends, with tasks that cannot be cancelled",
        """\
import asyncio
async def stay():
    while True:
        try:
            await asyncio.sleep(1)
        except BaseException:
            pass
for _ in range(10):
    task = asyncio.ensure_future(stay())
await task
""",
        due=OTHER,
        unclear=("grid",),
    ),
    Attack(
        "slow_cells",
        LOOPS,
        "a hundred cells, each almost as slow as it may be",
        due=OTHER,
        unclear=("blend", "grid"),
        edit=lambda made: [made.add("grid_test", new_code_cell("import time\ntime.sleep(2.5)")) for _ in range(100)],
    ),
    code(
        RESOURCES,
        "busy_processes",
        "sixty processes that compute for twenty seconds",
        """\
import os, time
until = time.monotonic() + 20
try:
    for _ in range(60):
        if os.fork() == 0:
            while time.monotonic() < until:
                pass
            os._exit(0)
except OSError as error:
    print(error)
while time.monotonic() < until:
    pass
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "memory",
        "six gigabytes of memory",
        """\
taken = []
for _ in range(24):
    taken.append(b"\\1" * 2**28)
print("bound" + "less")
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "memory_shared",
        "six gigabytes of memory that no single process owns",
        """\
import mmap, os, time
taken = []
for number in range(24):
    if number % 2:
        taken.append(mmap.mmap(-1, 2**28))
    else:
        file = os.memfd_create("taken")
        os.ftruncate(file, 2**28)
        taken.append(mmap.mmap(file, 2**28))
    taken[-1][::4096] = b"\\1" * 2**16
    time.sleep(0.05)
print("bound" + "less")
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "memory_in_the_test",
        "six gigabytes of memory when the hidden test calls",
        "def sieve(limit):\n    if limit > 10:\n        kept = [b'\\1' * 2**28 for _ in range(24)]\n    return [0]\n",
        task="sieve",
        due=full("account", "blend", "grid"),
    ),
    code(
        RESOURCES,
        "disk_full",
        "three gigabytes on each disk that can be written",
        """\
import os
for folder in (".", "/tmp", "/dev/shm", os.path.expanduser("~"), "/run", "/var/tmp"):
    try:
        with open(os.path.join(folder, "tml-hostile-@TOKEN@-disk"), "wb") as file:
            for _ in range(12):
                file.write(bytes(2**28))
        print("bound" + "less")
    except OSError as error:
        print(error)
    if os.readlink("/proc/self/ns/pid") == "@HOST@":
        os.unlink(file.name)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "makes_many_files",
        "a hundred thousand empty files",
        """\
import os
try:
    for n in range(100_000):
        open(f"empty-{n}", "w").close()
    print("bound" + "less")
except OSError as error:
    print(error)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "makes_deep_folders",
        "a folder in a folder in a folder, two thousand times",
        """\
import os
try:
    for n in range(2000):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
except OSError as error:
    print(error)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "makes_open_files",
        "a hundred thousand open files",
        """\
import os
held = []
try:
    for _ in range(100_000):
        held.append(os.dup(1))
    print("bound" + "less")
except OSError as error:
    print(error)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "processes",
        "three hundred processes that stay",
        f"""\
import subprocess
try:
    for _ in range(300):
        subprocess.Popen(["sleep", "{ASLEEP}"], start_new_session=True)
    print("bound" + "less")
except OSError as error:
    print(error)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "fork_bomb",
        "processes that make processes, eight generations of them",
        """\
import os, time
for _ in range(8):
    try:
        os.fork()
    except OSError:
        pass
time.sleep(60)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "threads",
        "five thousand threads",
        """\
import threading, time
try:
    for _ in range(5000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("bound" + "less")
except RuntimeError as error:
    print(error)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "output",
        "a gigabyte is printed",
        "for _ in range(1000):\n    print('x' * 10**6)\n",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "output_in_small_pieces",
        "a million lines, on both streams",
        "import sys\nfor n in range(10**6):\n    print(n)\n    print(n, file=sys.stderr)\n",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "output_past_python",
        "a gigabyte is written to the open files 1 and 2, past Python",
        """\
import os
for _ in range(500):
    os.write(1, b"x" * 10**6)
    os.write(2, b"<script>" * 10**5)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "output_in_the_test",
        "every call of the test prints a hundred megabytes",
        "def blend(values, weights):\n    print('x' * 10**8)\n    return 8\n",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "display",
        "ten thousand displays of a megabyte of markup each, and updates of them",
        """\
from IPython.display import HTML, clear_output, display
for n in range(1000):
    shown = display(HTML("<b>" * 300_000), display_id=True)
    shown.update(HTML("<i>" * 300_000))
    clear_output()
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "error_text",
        "an error of a hundred megabytes, with markup in its name",
        "raise type('<script>alert(1)</script>' * 1000, (Exception,), {})('x' * 10**8)\n",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        RESOURCES,
        "recursion",
        "a recursion without a bottom",
        "import sys\nsys.setrecursionlimit(10**9)\ndef blend(*a):\n    return blend(*a)\nblend()\n",
        due=OTHER,
        unclear=("grid",),
    ),
]
