"""How a handler may fail, by name."""
import json
import os
import signal
import sys
import threading


class Custom(Exception):
    pass


class WithFields(Exception):
    def __init__(self, code, **fields):
        super().__init__(code, fields)
        self.code = code


class WithText(Exception):
    def __str__(self):
        return "its own\ntext of lines"


class WithoutText(Exception):
    def __str__(self):
        raise ValueError("no text")


class Base(BaseException):
    pass


class Outer:
    class Inner(Exception):
        pass


def throw(error):
    raise error


def chained():
    try:
        {}["a"]
    except KeyError as error:
        raise Custom("outer") from error


def in_handling():
    try:
        {}["a"]
    except KeyError:
        raise Custom("second")


def noted():
    error = Custom("with a note")
    error.add_note("the note")
    raise error


def recurse(n=0):
    return recurse(n + 1)


def in_thread():
    thread = threading.Thread(target=lambda: os._exit(5))
    thread.start()
    thread.join()


ERRORS = {
    "custom": lambda: throw(Custom("text")),
    "without a text": lambda: throw(Custom()),
    "two arguments": lambda: throw(Custom("a", 2)),
    "with fields": lambda: throw(WithFields(404, reason="x")),
    "with lines": lambda: throw(WithText()),
    "of other scripts": lambda: throw(Custom("ü€𝄞")),
    "long": lambda: throw(Custom("x" * 5000)),
    "surrogate": lambda: throw(Custom("\ud800")),
    "key": lambda: {}["missing"],
    "type": lambda: 1 + "a",
    "attribute": lambda: None.x,
    "name": lambda: undefined,
    "zero": lambda: 1 / 0,
    "decode": lambda: b"\xff".decode(),
    "json": lambda: json.loads("{"),
    "file": lambda: open("/nowhere"),
    "import": lambda: __import__("no_such_module"),
    "import of a name": lambda: exec("from json import no_such_name"),
    "syntax": lambda: compile("a b", "given", "exec"),
    "assertion": lambda: exec("assert False, 'why'"),
    "inner class": lambda: throw(Outer.Inner("x")),
    "chained": chained,
    "in handling": in_handling,
    "noted": noted,
    "group": lambda: throw(ExceptionGroup("several", [ValueError(1), KeyError("k")])),
    "recursion": recurse,
    "stop": lambda: next(iter(())),
    "timeout": lambda: throw(TimeoutError()),
    "memory": lambda: throw(MemoryError()),
    "text of an error fails": lambda: throw(WithoutText()),
    "exit": lambda: sys.exit(3),
    "exit with nothing": lambda: sys.exit(),
    "exit with a text": lambda: sys.exit("why"),
    "interrupt": lambda: throw(KeyboardInterrupt()),
    "generator exit": lambda: throw(GeneratorExit()),
    "base": lambda: throw(Base("x")),
    "hard exit": lambda: os._exit(7),
    "hard exit with nothing": lambda: os._exit(0),
    "exit in a thread": in_thread,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


def handler(event, context):
    ERRORS[event]()
