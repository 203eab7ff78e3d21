"""At the design itself: what links the student's process with the tests is found, spoken on, flooded and cut."""

from hostile.attack import CONFINED, Attack, code, full

WIRE = "the wire between student and tests"

OTHER = full("account", "sieve")
FILES = """\
import os, stat
WIRES = []
for number in range(3, 1024):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode) or stat.S_ISFIFO(os.fstat(number).st_mode):
            WIRES.append(number)
    except OSError:
        pass
"""
FORGED = """\
import json, struct
ANSWERS = [{"ok": True, "value": 8}, {"value": {"float": "8.0"}}, {"result": 8, "score": 4.0, "status": "ok"},
           {"values": {"blend": 8, "grid": 8}}, {"callback": 0}, {"outputs": [[], 1]}, [True, 8], 8]
def forged():
    for answer in ANSWERS:
        text = json.dumps(answer).encode()
        yield struct.pack("!II", len(text), 0) + text
        yield struct.pack("!I", len(text)) + text
        yield struct.pack("<Q", len(text)) + text
        yield text + b"\\n"
"""

ATTACKS: list[Attack] = [
    code(
        WIRE,
        "forged_replies",
        "replies in many forms are written to every socket and pipe before they are asked for",
        FILES
        + FORGED
        + """\
for number in WIRES:
    for reply in forged():
        try:
            os.set_blocking(number, False)
            os.write(number, reply)
        except OSError as error:
            print(error)
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "forger_thread",
        "a thread takes the requests from every socket and answers them itself",
        FILES
        + FORGED
        + """\
import threading, select
def serve():
    while True:
        for number in select.select(WIRES, [], [], 1)[0]:
            print(os.read(number, 65536))
            for reply in forged():
                os.write(number, reply)
threading.Thread(target=serve, daemon=True).start()
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "echo",
        "every request comes back as its own reply",
        FILES
        + """\
import threading, select
def serve():
    while True:
        for number in select.select(WIRES, [], [], 1)[0]:
            os.write(number, os.read(number, 65536))
threading.Thread(target=serve, daemon=True).start()
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "wire_objects",
        "the objects that hold the wire are found and answer 8, true and 4.0 to everything",
        """\
import gc, socket, types
for thing in gc.get_objects():
    name = type(thing).__name__
    if isinstance(thing, socket.socket) or name in ("Wire", "Channel", "Connection", "Student", "Server", "Session"):
        for what in dir(thing):
            if not what.startswith("__"):
                try:
                    setattr(thing, what, lambda *a, **k: 8)
                except Exception:
                    pass
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "wire_taken_over",
        "the student's own end is used in the right form: each reply says what passes, or names what is not there",
        """\
import gc, threading
ends = [t for t in gc.get_objects() if hasattr(type(t), "send") and hasattr(type(t), "receive")]
def serve(end):
    for number in range(10000):
        message = end.receive()
        print(message)
        for reply in ({"value": 8}, {"result": 8}, {"ok": 8}, {"value": {"function": 1}},
                      {"value": {"range": ["0x0", "0x" + "f" * 30, "0x1"]}},
                      {"callback": 0, "arguments": {"list": []}, "keywords": {"dict": []}},
                      {"value": {"reference": [0, "class", "AssertionError", ["BaseException"]]}},
                      {"value": {"fraction": "1e999999999"}}, {"value": {"array": ["<f8", [2**40, 0], 0]}},
                      {"value": {"dtype": "O"}}, {"error": "AssertionError"}):
            end.send(reply, [b"12345678"])
for end in ends:
    threading.Thread(target=serve, args=(end,), daemon=True).start()
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "encoder_replaced",
        "what writes values is replaced: it says what a test would like to hear, in every type there is",
        """\
import sys
VALUES = [{"float": "8.0"}, {"scalar": ["<f8", [], 0]}, {"fraction": "1e99999999"},
          {"range": ["0x0", "0x" + "f" * 40, "0x1"]},
          {"array": ["|O", [1], 0]}, {"int": "0x" + "f" * 10**6}, {"dtype": "f8," * 10000}, {"list": [0] * 10**6}]
count = 0
def encode(value, *rest, **named):
    global count
    count += 1
    return VALUES[count % len(VALUES)]
for module in list(sys.modules.values()):
    for name in ("encode", "dump", "pack", "to_wire", "serialise", "serialize"):
        if getattr(module, "__name__", "").startswith(("tml_helpers", "__main__")) and hasattr(module, name):
            setattr(module, name, encode)
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "closed",
        "every socket and pipe is closed, and everything else",
        FILES + "for number in WIRES:\n    os.close(number)\nos.closerange(0, 4096)\n",
        due=OTHER,
    ),
    code(
        WIRE,
        "replaced",
        "every socket and pipe is replaced by an endless file",
        FILES + "for number in WIRES:\n    os.dup2(os.open('/dev/zero', os.O_RDWR), number)\n",
        due=OTHER,
    ),
    code(
        WIRE,
        "flood",
        "gigabytes are written to every socket and pipe",
        FILES
        + """\
for number in WIRES:
    try:
        os.set_blocking(number, True)
        for _ in range(1000):
            os.write(number, b"\\xff" * 2**20)
    except OSError as error:
        print(error)
""",
        due=OTHER,
        status=("failed", "timeout"),
    ),
    code(
        WIRE,
        "long_message",
        "one message says that it is four gigabytes long, and comes a byte a second",
        FILES
        + """\
import struct, time
for number in WIRES:
    try:
        os.write(number, struct.pack("!II", 200_000_000, 0))
    except OSError:
        pass
while True:
    for number in WIRES:
        os.write(number, b" ")
    time.sleep(1)
""",
        due=OTHER,
        status=("failed", "timeout"),
    ),
    code(
        WIRE,
        "stall",
        "requests are read and never answered, without the interpreter's lock ever being free",
        FILES
        + """\
import threading, signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
def swallow(number):
    while True:
        os.read(number, 1)
for number in WIRES:
    threading.Thread(target=swallow, args=(number,), daemon=True).start()
def blend(*a):
    return sum(iter(int, 1))
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "libraries_patched",
        "json, struct, socket, pickle, select and os are other in the student's process",
        """\
import builtins, json, os, pickle, select, socket, struct, threading
json.loads = json.load = lambda *a, **k: {"ok": True, "value": 8}
json.dumps = lambda *a, **k: '{"ok": true, "value": 8}'
json.JSONEncoder.encode = json.JSONEncoder.iterencode = lambda *a: "4.0"
struct.pack = lambda *a: b"\\0\\0\\0\\x01"
os.write = os._exit = lambda *a: 8
socket.socket.send = socket.socket.sendall = lambda *a: None
pickle.dumps = lambda *a, **k: b"I8\\n."
threading.Thread.start = lambda self: None
builtins.print = builtins.type = builtins.isinstance = lambda *a, **k: True
def blend(*a): return 8
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "types_patched",
        "type(), len() and repr() of the student's process lie about what is sent",
        """\
import builtins
class Near(float):
    def __sub__(self, other): return 0.0
builtins.repr = lambda thing: "8.0"
builtins.type = lambda thing, *a: float
builtins.hex = lambda n: "0x8"
builtins.len = lambda thing: 4
def blend(*a): return Near(8)
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "sockets_deleted",
        "every socket and pipe that can be found is deleted",
        CONFINED
        + """\
import stat
for folder in ("/tmp", "/run", "/dev/shm", ".", "..") if CONFINED else ():
    for here, folders, files in os.walk(folder):
        for path in [os.path.join(here, name) for name in files]:
            try:
                kind = os.lstat(path).st_mode
                os.unlink(path) if stat.S_ISSOCK(kind) or stat.S_ISFIFO(kind) else None
            except OSError:
                pass
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "connections",
        "every socket file and abstract socket is connected to, and spoken to",
        CONFINED
        + FORGED
        + """\
import glob, socket
names = [line.split()[-1] for line in open("/proc/net/unix").read().splitlines()[1:] if len(line.split()) > 7]
for name in names + glob.glob("/tmp/**", recursive=True) if CONFINED else []:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_UNIX, kind) as out:
                out.settimeout(0.2)
                out.connect(name.replace("@", "\\0", 1))
                for reply in forged():
                    out.send(reply)
        except (OSError, ValueError):
            pass
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "descriptors_passed",
        "a hundred open files are sent over every socket, which fills who receives them",
        FILES
        + """\
import array, socket
for number in WIRES:
    try:
        with socket.socket(fileno=os.dup(number)) as out:
            out.settimeout(0.5)
            for _ in range(10):
                files = socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1] * 100)
                out.sendmsg([b"\\0\\0\\0\\x02\\0\\0\\0\\0{}"], [files])
            out.shutdown(socket.SHUT_RD)
    except (OSError, ValueError) as error:
        print(error)
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "runner_replaced",
        "the student's runner is searched on the stack and its loop is told to go on with another notebook",
        """\
import sys
frame = sys._getframe()
while frame.f_back is not None:
    frame = frame.f_back
    for name, value in list(frame.f_locals.items()):
        if name not in ("self",) and callable(getattr(value, "clear", None)) and value is not get_ipython().user_ns:
            print(name, type(value))
    frame.f_globals["__builtins__"] = {"abs": lambda x: 0}
    for name in list(frame.f_globals):
        if callable(frame.f_globals[name]) and not name.startswith("__"):
            frame.f_globals[name] = lambda *a, **k: 4.0
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "forged_outputs",
        "what records a cell's outputs is found, and says other outputs: scripts, wrong types, too much, too deep",
        """\
import gc
SCRIPT = "<script>alert(1)</script>"
deep = []
for _ in range(500):
    deep = [deep]
FORGED = [
    {"output_type": "execute_result", "data": {"text/html": SCRIPT, "image/svg+xml": SCRIPT}, "metadata": {}},
    {"output_type": "display_data", "data": {"image/png": "x' onerror='alert(1)"}, "metadata": {"image/png": SCRIPT}},
    {"output_type": "stream", "name": SCRIPT, "text": [SCRIPT, 1, None]},
    {"output_type": "error", "ename": SCRIPT, "evalue": 1, "traceback": [SCRIPT, 7, deep]},
    {"output_type": SCRIPT}, {"output_type": ["stream"]}, {}, [], 1, None, SCRIPT, deep,
    {"output_type": "stream", "name": "stdout", "text": "\\ud800" * 1000},
    {"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000},
]
for thing in gc.get_objects():
    if not isinstance(thing, type) and isinstance(getattr(thing, "outputs", None), list):
        thing.outputs.extend(FORGED)
""",
        due=OTHER,
        unclear=("grid",),
    ),
    code(
        WIRE,
        "calls_back",
        "while the test calls, another thread speaks on the same socket",
        FILES
        + FORGED
        + """\
import threading
def speak():
    for _ in range(200):
        for number in WIRES:
            for reply in forged():
                os.write(number, reply)
def blend(*a):
    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    thread.join(0.5)
    return 8
""",
        due=OTHER,
    ),
    code(
        WIRE,
        "score_on_every_file",
        "a reply that gives full points is written on every open file, as the collector might read it",
        """\
import os
FORGED = '{"status": "ok", "score": 12, "points": {"blend_test": 2, "grid_test": 3, "essay": 4}}\\n'
for number in range(256):
    try:
        os.set_blocking(number, False)
        os.write(number, FORGED.encode())
    except OSError:
        pass
for name in ("reply.json", "result.json", "grades.json", "../reply.json", "/tmp/reply.json", "out.json"):
    try:
        open(name, "w").write(FORGED)
    except OSError:
        pass
""",
        due=OTHER,
    ),
]
