"""Compile the modules below a folder to bytecode that is used without looking at its source (PEP 552).

Run by kiln inside a base image as `python3 -S -s -B -c <this text> <request as JSON>`, on Python 3.9 or later, with the
standard library alone. Bytecode is written below `out`, at the paths that it has beside its sources; the last line on
standard output that starts with MARKER carries a report as JSON.
"""

import errno
import importlib._bootstrap_external as external
import importlib.util
import json
import os
import sys
import warnings

MARKER = "KILN-COMPILE-REPORT "


def main():
    sys.path[:] = [entry for entry in sys.path if entry]
    request = json.loads(sys.argv[1])
    root, out = request["root"], request["out"]
    # What a compiler warns about is its publisher's business.
    warnings.simplefilter("ignore")
    failed = {}
    for path in modules(root, request["reverse"]):
        reason = in_own_process(path, root, out)
        if reason is not None:
            failed[os.path.relpath(path, root)] = reason
    # A machine that has lost the root has no modules either.
    try:
        # What was seen before may be remembered; a name that nobody has asked for is not.
        os.stat("%s.%d" % (sys.executable, os.getpid()))
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOTCONN, errno.ESTALE):
            raise
    report = {"magic": importlib.util.MAGIC_NUMBER.hex(), "tag": sys.implementation.cache_tag, "failed": failed}
    print("\n" + MARKER + json.dumps(report), flush=True)


def modules(root, reverse):
    """Every file that can be imported as a module, in an order that says nothing about the disk."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name.isidentifier() and name != "__pycache__"]
        for name in files:
            path = os.path.join(folder, name)
            if name.endswith(".py") and name[:-3].isidentifier() and os.path.isfile(path):
                found.append(path)
    return sorted(found, reverse=reverse)


def in_own_process(path, root, out):
    """Compile in a process that has compiled nothing before: what an interpreter remembers of one module shows in the next.

    Returns why it cannot be compiled, or None.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            os.close(read)
            reason = compile_one(path, root, out)
            if reason is not None:
                os.write(write, reason.encode("utf-8", "replace")[:1000])
            ended = 0
        finally:
            os._exit(ended)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        reason = pipe.read()
    status = os.waitpid(child, 0)[1]
    if status != 0:
        return "the compiler crashed"
    return reason.decode("utf-8", "replace") or None


def compile_one(path, root, out):
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        data = external._code_to_hash_pyc(code, importlib.util.source_hash(source), False)
        target = os.path.join(out, os.path.relpath(importlib.util.cache_from_source(path, optimization=""), root))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "%s: %s" % (type(error).__name__, getattr(error, "msg", None) or error)
    return None


main()
