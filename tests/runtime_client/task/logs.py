"""What a handler may print and log, by name."""
import contextlib
import io
import logging
import os
import sys
import warnings

logging.basicConfig(level=logging.INFO, format="never used %(message)s")
logging.getLogger().warning("while modules are loaded")
LOG = logging.getLogger("own.logger")


def at_all_levels():
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        LOG.log(level, "at %d", level)


def with_trace():
    try:
        {}["a"]
    except KeyError:
        LOG.exception("failed")


def redirected():
    into = io.StringIO()
    with contextlib.redirect_stdout(into):
        print("printed")
        LOG.warning("logged")
    return len(into.getvalue().splitlines())


def levels_set():
    logging.getLogger().setLevel(logging.DEBUG)
    LOG.debug("now")
    logging.getLogger().setLevel(logging.WARNING)


def own_handler():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("own %(message)s"))
    LOG.addHandler(handler)
    LOG.warning("twice")
    LOG.removeHandler(handler)


ACTIONS = {
    "print": lambda context: print("printed"),
    "print without an end": lambda context: print("printed", end=""),
    "print to errors": lambda context: print("printed", file=sys.stderr),
    "print lines": lambda context: print("a\nb\n\nc"),
    "print other scripts": lambda context: print("ü€𝄞"),
    "print a surrogate": lambda context: print("\ud800"),
    "write lines": lambda context: sys.stdout.writelines(["a\n", "b\n"]),
    "write bytes": lambda context: sys.stdout.buffer.write(b"raw\n") and sys.stdout.flush(),
    "write to a descriptor": lambda context: os.write(1, b"written\n"),
    "streams": lambda context: [type(sys.stdout).__name__, sys.stdout.encoding, sys.stderr.fileno(), sys.stdin.read()],
    "log": lambda context: LOG.warning("a %s", "message"),
    "at all levels": lambda context: at_all_levels(),
    "with a trace": lambda context: with_trace(),
    "with lines": lambda context: LOG.error("a\nb"),
    "a dict": lambda context: LOG.error({"a": 1, "b": set()}),
    "more fields": lambda context: LOG.error("x", extra={"order": 7, "kind": {1}}),
    "an unusual level": lambda context: LOG.log(35, "x"),
    "a format that does not fit": lambda context: LOG.warning("%d", "x"),
    "with the stack": lambda context: LOG.warning("x", stack_info=True) and None,
    "the root's": lambda context: logging.error("x"),
    "by the context": lambda context: context.log("by the context\n"),
    "by the context, no text": lambda context: context.log(7),
    "redirected": lambda context: redirected(),
    "levels": lambda context: [logging.getLogger().level, LOG.getEffectiveLevel(), len(logging.getLogger().handlers)],
    "handlers": lambda context: [type(h).__name__ for h in logging.getLogger().handlers],
    "levels set": lambda context: levels_set(),
    "its own handler": lambda context: own_handler(),
    "a warning": lambda context: warnings.warn("careful"),
    "captured": lambda context: [logging.captureWarnings(True), warnings.warn("caught"), logging.captureWarnings(False)],
}


def handler(event, context):
    return ACTIONS[event](context)
