"""Keep what files compile to, take it from an earlier check, and give it to the processes that import them.

This text stands first in the program of the import check, so that what that loads itself is taken as well. What is given was compiled
by this program, of the same base and the same files, and is used for the very same text alone. Nothing that is judged has a hand in it:
it is compiled and told by whoever asks.
"""

import marshal
import sys

# Where it is given, if anything is: files of {path: (hash of its source, what it compiles to, marshalled)}.
GIVEN = "/var/kiln-compiled"
# The kinds of it, with which the names of the files begin: the base's own files, and those of the trees.
OF_BASE, OF_TREES = "base", "trees"
# The most bytes of a kind that are told.
COMPILED_BYTES = 12 << 20
# The most bytes of a file that is compiled for others, and of all of them; and of a question, which the kernel keeps in one piece.
SOURCE_BYTES, SOURCES_BYTES, QUESTION_BYTES = 1 << 20, 128 << 20, 4096
# How long whoever asks may take to listen to an answer.
LISTENING_SECONDS = 5
COMPILED_MARKER = "KILN-COMPILED "

# What files compile to, by path, with what tells their text: each is compiled once and not in every process anew.
COMPILED = {}
LOADER = sys.modules["_frozen_importlib_external"].SourceLoader
COMPILE, SOURCE_HASH = LOADER.source_to_code, sys.modules["_imp"].source_hash


def take_compiled():
    """Take what is given; whether files of the trees are among it."""
    import posix

    try:
        names = sorted(posix.listdir(GIVEN))
    except OSError:
        return False
    for name in names:
        with open(GIVEN + "/" + name, "rb") as file:
            COMPILED.update(marshal.load(file))
    return any(name.startswith(OF_TREES) for name in names)


def compiled_of(data, path):
    """What a file compiles to, if that is known of this very text."""
    known = COMPILED.get(path)
    if known is None or known[0] != SOURCE_HASH(0, bytes(data)):
        return None
    return marshal.loads(known[1]) if type(known[1]) is bytes else known[1]


def keeping(self, data, path, **options):
    """Compile a file for this program itself, or take what is known, and keep it."""
    code = None if options else compiled_of(data, path)
    if code is None:
        code = COMPILE(self, data, path, **options)
        if not options:
            COMPILED[path] = SOURCE_HASH(0, bytes(data)), code
    return code


class Compiler:
    """Answers a judged process that asks what a file compiles to, so that each is compiled once and not in every process anew. Which file
    it asks for is its word; what that compiles to is not."""

    def __init__(self, roots):
        self.roots = tuple(root.rstrip("/") + "/" for root in roots + sys.path if root)
        self.left, self.asked, self.answers = SOURCES_BYTES, None, None

    def open(self):
        """Be asked by the next process: the two descriptors that it gets."""
        import os

        self.asked, write = os.pipe()
        read, self.answers = os.pipe()
        os.set_blocking(self.answers, False)
        return write, read

    def close(self):
        """Be asked no more."""
        import os

        for descriptor in (self.asked, self.answers):
            if descriptor is not None:
                os.close(descriptor)
        self.asked = self.answers = None

    def answer(self, until):
        """Answer what was asked, up to a time of the monotonic clock. Whoever asks something else, or listens slowly, is left to compile
        for itself."""
        import os
        import time

        until = min(until, time.monotonic() + LISTENING_SECONDS)
        question = os.read(self.asked, QUESTION_BYTES)
        if not question.endswith(b"\n") or question.count(b"\n") != 1:
            self.close()
            return
        known = self.compiled(question[:-1].decode("utf-8", "surrogateescape"))
        try:
            data = b"" if known is None else known[0] + marshal.dumps(known[1])
        except ValueError:
            # Code in code in code may be compiled deeper than it can be handed on.
            data = b""
        data = memoryview(len(data).to_bytes(4, "big") + data)
        while data:
            try:
                data = data[os.write(self.answers, data) :]
            except BlockingIOError:
                if not room_within(self.answers, until - time.monotonic()):
                    self.close()
                    return
            except OSError:
                self.close()
                return

    def compiled(self, path):
        """What tells the text of a file, and what it compiles to; nothing of a file that is not asked for like this."""
        self.unpack([path])
        if path not in COMPILED:
            COMPILED[path] = self.compile(path)
        return COMPILED[path]

    def unpack(self, paths):
        """Read what was given of files once here rather than in every process."""
        for path in paths:
            known = COMPILED.get(path)
            if known is not None and type(known[1]) is bytes:
                COMPILED[path] = known[0], marshal.loads(known[1])

    def compile(self, path):
        import os
        import warnings

        inside = os.path.normpath(path) == path and path.endswith(".py") and path.startswith(self.roots)
        try:
            size = os.path.getsize(path) if inside and os.path.isfile(path) else SOURCE_BYTES
            if size >= min(SOURCE_BYTES, self.left):
                return None
            self.left -= size
            with open(path, "rb") as source, warnings.catch_warnings():
                # What is to be said of a file is said where it is imported.
                warnings.simplefilter("error")
                text = source.read(SOURCE_BYTES)
                return SOURCE_HASH(0, text), compile(text, path, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, Warning):
            return None


def room_within(descriptor, seconds):
    """Whether a pipe takes more within some time."""
    import select

    return seconds > 0 and bool(select.select([], [descriptor], [], seconds)[1])


def asking(ask, answers):
    """How a judged process asks by these descriptors: a function that gives what a file with some text compiles to, or None."""
    import _thread
    import os

    read, write, getpid, stat, pid, lock = os.read, os.write, os.getpid, os.fstat, os.getpid(), _thread.allocate_lock()
    text_hash, loads = SOURCE_HASH, marshal.loads
    # What is judged may close the descriptors, and open others by these numbers; and it may interrupt what waits for an answer.
    ours, idle = (stat(ask)[1], stat(answers)[1]), [True]

    def asked(data, path):
        question = path.encode("utf-8", "surrogateescape") + b"\n"
        if getpid() != pid or question.count(b"\n") != 1 or len(question) > QUESTION_BYTES:
            return None
        with lock:
            if not idle or (stat(ask)[1], stat(answers)[1]) != ours:
                return None
            idle.clear()
            write(ask, question)
            answer = b""
            while len(answer) < 4 or len(answer) < 4 + int.from_bytes(answer[:4], "big"):
                piece = read(answers, 1 << 20)
                if not piece:
                    return None
                answer += piece
            idle.append(True)
        return loads(answer[12:]) if answer[4:12] == text_hash(0, bytes(data)) else None

    return asked


def use_compiled(asked=None):
    """Let the import system of a judged process take what is compiled already, ask for what is not, and keep nothing."""
    compiled, text_hash, loads, compile_source = COMPILED, SOURCE_HASH, marshal.loads, COMPILE

    def source_to_code(self, data, path, **options):
        code, known = None, None if options else compiled.get(path)
        if known is not None and known[0] == text_hash(0, bytes(data)):
            code = loads(known[1]) if type(known[1]) is bytes else known[1]
        elif asked is not None and not options and type(path) is str and path not in compiled:
            try:
                code = asked(data, path)
            except Exception:
                code = None
        return compile_source(self, data, path, **options) if code is None else code

    LOADER.source_to_code = source_to_code


def use_nothing():
    """Let the import system be what it is."""
    LOADER.source_to_code = COMPILE


class Telling:
    """Tells on standard output what files compile to, beside what was given and what is found by names that are not to be told of,
    while other things go on."""

    def __init__(self, roots, besides):
        self.roots, self.besides = tuple(root.rstrip("/") + "/" for root in roots), frozenset(besides)
        self.told, self.left = set(TAKEN), {OF_BASE: COMPILED_BYTES, OF_TREES: COMPILED_BYTES}
        self.telling = None

    def lines(self):
        """What was not told yet, a line for each kind."""
        import binascii

        kinds = {OF_BASE: {}, OF_TREES: {}}
        for path, known in COMPILED.items():
            if known is None or path in self.told:
                continue
            self.told.add(path)
            root = next((root for root in self.roots if path.startswith(root)), None)
            kind = OF_BASE if root is None else OF_TREES
            if root is not None and path[len(root) :].partition("/")[0].partition(".")[0] in self.besides:
                continue
            try:
                data = known[1] if type(known[1]) is bytes else marshal.dumps(known[1])
            except ValueError:
                continue
            self.left[kind] -= len(data)
            if self.left[kind] > 0:
                kinds[kind][path] = known[0], data
        return b"".join(
            ("%s%s " % (COMPILED_MARKER, kind)).encode() + binascii.b2a_base64(marshal.dumps(files))
            for kind, files in kinds.items()
            if files
        )

    def begin(self):
        """Tell what is known so far, in a process that runs beside this one and nothing that is judged."""
        import os

        read, write = os.pipe()
        if os.fork() == 0:
            try:
                os.close(read)
                write_all(self.lines())
            finally:
                os._exit(0)
        os.close(write)
        self.telling = read
        self.told.update(COMPILED)

    def end(self):
        """Wait until that is told, and tell the rest."""
        import os

        if self.telling is not None:
            os.read(self.telling, 1)
            os.close(self.telling)
        write_all(self.lines())


def write_all(data):
    """Write to standard output."""
    import os

    data = memoryview(data)
    while data:
        data = data[os.write(1, data) :]


TAKEN_OF_TREES = take_compiled()
TAKEN = frozenset(COMPILED)
LOADER.source_to_code = keeping
