"""Keep what files compile to, and take it from an earlier check.

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


def use_compiled():
    """Let the import system of a judged process take what is compiled already, and keep nothing."""
    compiled, text_hash, loads, compile_source = COMPILED, SOURCE_HASH, marshal.loads, COMPILE

    def source_to_code(self, data, path, **options):
        known = None if options else compiled.get(path)
        if known is not None and known[0] == text_hash(0, bytes(data)):
            return loads(known[1]) if type(known[1]) is bytes else known[1]
        return compile_source(self, data, path, **options)

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
            data = known[1] if type(known[1]) is bytes else marshal.dumps(known[1])
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
