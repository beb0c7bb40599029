"""Keep what files compile to, and take it from an earlier check.

This text stands first in the program of the import check, so that what that loads itself is taken as well. What is given was compiled
by this program, of the same base and the same files, and is used for the very same text alone. Nothing that is judged has a hand in it:
it is compiled and told by whoever asks.
"""

import marshal
import sys

# What is given, if anything is: {path: (hash of its source, what it compiles to, marshalled)}.
GIVEN = "/var/kiln-compiled/"
# The kinds of it: the base's own files, and those of the trees.
OF_BASE, OF_TREES = "base", "trees"
# The most bytes of a kind that are told.
COMPILED_BYTES = 10 << 20
COMPILED_MARKER = "KILN-COMPILED "

# What files compile to, by path, with what tells their text: each is compiled once and not in every process anew.
COMPILED = {}
LOADER = sys.modules["_frozen_importlib_external"].SourceLoader
COMPILE, SOURCE_HASH = LOADER.source_to_code, sys.modules["_imp"].source_hash


def take_compiled():
    """Take what is given."""
    for kind in (OF_BASE, OF_TREES):
        try:
            with open(GIVEN + kind, "rb") as file:
                COMPILED.update(marshal.load(file))
        except OSError:
            continue


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


def compiled_lines(roots):
    """What a later check may be given, a line of each kind that there is more of than was given to this one."""
    import binascii

    roots = tuple(root.rstrip("/") + "/" for root in roots)
    kinds = {OF_BASE: {}, OF_TREES: {}}
    left, new = dict.fromkeys(kinds, COMPILED_BYTES), set()
    for path, known in COMPILED.items():
        if known is None:
            continue
        kind = OF_TREES if path.startswith(roots) else OF_BASE
        data = known[1] if type(known[1]) is bytes else marshal.dumps(known[1])
        left[kind] -= len(data)
        if left[kind] > 0:
            kinds[kind][path] = known[0], data
            if path not in TAKEN:
                new.add(kind)
    return [
        COMPILED_MARKER.encode() + kind.encode() + b" " + binascii.b2a_base64(marshal.dumps(kinds[kind]))
        for kind in sorted(new)
    ]


take_compiled()
TAKEN = frozenset(COMPILED)
LOADER.source_to_code = keeping
