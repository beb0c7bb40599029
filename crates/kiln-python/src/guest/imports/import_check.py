"""Import a Lambda handler and other modules as the runtime would, and report what happened.

Run by kiln inside a base image as `python3 -I -S -B -c <compiled.py, supervisor.py, import_scan.py, stand_ins.py and this text> <request as
JSON>`, on Python 3.9 or later, with the standard library alone. Standard output is one line that starts with MARKER and carries the
report as JSON, and before it, where that is asked for, lines with what files compile to. Whatever the imported code prints goes to standard error.

The program itself imports nothing that is judged. The artifact's own files are read in a process of their own first; then the
handler is imported in one, and each other module in one, none of which has seen another.
"""

import builtins
import faulthandler
import importlib
import importlib.machinery
import json
import os
import select
import signal
import sys
import time
import traceback
import types

MARKER = "KILN-IMPORT-REPORT "
# Bounds of the report: code under check decides how long its messages are.
LINES, LINE, TEXT, NAMES, FILES = 24, 400, 2000, 1000, 20000
# How long reading the files may take. The handler may take as long as the check itself, which is ended from outside.
SCAN_SECONDS, HANDLER_SECONDS = 60, 3600
# The parts that read files and run nothing of them.
READS = ("scan", "optional")
# The artifact's own files, by the paths that frames have in a judged process.
OWN = {}


def main():
    request = json.loads(sys.argv[1])
    if "part" in request:
        # Started anew by the supervisor, as the judged user.
        judged(request, request["part"], request["name"])
    else:
        share_errors()
        supervise(request)


def supervise(request):
    """Ask each part in a process of its own and report what they answer. Nothing that is judged is imported here."""
    handler, layers = request["handler"], request["layer_paths"]
    report = {"version": "%d.%d.%d" % sys.version_info[:3], "handler": None, "tampered": None, "modules": []}
    loaded, from_layers, asked, again = set(), set(), {}, []
    compiler = Compiler([request["task_root"]] + layers) if request["fresh"] is None else None
    if compiler is not None:
        # Each process would begin with these.
        load_client()

    # The files are read before any of the code runs, and what that gave is out of its reach.
    ended = ask(request, "scan", None, SCAN_SECONDS)
    if ended.answer is None:
        fail("reading the artifact's own files: it " + ended.why)
    report["scan"] = ended.answer

    def note(answer, is_own):
        if compiler is not None:
            compiler.unpack(answer["loaded"] + answer["base"])
        from_layers.update(answer["loaded"])
        if is_own:
            loaded.update(answer["loaded"])
        for name, place in answer["asked"].items():
            asked.setdefault(name, place)

    # Whoever was given what the trees compile to tells what is new; else it is for one of several checks to tell it.
    tells = request["tells_compiled"] == "all" or (request["tells_compiled"] == "more" and TAKEN_OF_TREES)
    telling = Telling(request["search_path"], request["besides"]) if tells else None
    last = (request["modules"] + request["own_modules"])[-1:]

    found = False
    if handler is not None:
        # Where no other process follows, and nobody is told, it compiles for itself.
        is_last = not (request["modules"] or request["own_modules"] or telling)
        ended = ask(request, "handler", handler, HANDLER_SECONDS, None if is_last else compiler)
        if ended.answer is not None:
            report["handler"], found = ended.answer["result"], ended.code == 0
            note(ended.answer, True)
        elif ended.tampered:
            report["tampered"] = ended.why
        else:
            # The end of the handler is the end of the check.
            os._exit(1 if ended.code is None else ended.code)
    for names, is_own in ((request["modules"], False), (request["own_modules"], True)):
        for name in names[:NAMES]:
            outcome = {"name": name, "problem": None, "own": is_own, "after_handler": False}
            report["modules"].append(outcome)
            if found and is_own and name == handler.rpartition(".")[0].replace("/", "."):
                # Its process has answered for it.
                continue
            if telling is not None and [name] == last and outcome is not report["modules"][0]:
                telling.begin()
            ended = ask(request, "module", name, request["seconds"], compiler)
            if ended.answer is not None:
                outcome["problem"] = ended.answer["result"]
                note(ended.answer, is_own)
            else:
                outcome["problem"] = without_exception(ended.why, ended.tampered)
            if outcome["problem"] is not None and not ended.tampered:
                again.append(outcome)
    if found and again:
        ask_again(request, again, note, compiler)
    names = sorted(asked)[:NAMES]
    optional = of_which_optional(request, names, from_layers) if names else []
    report["stand_ins"] = [{"name": n, "asked_by": asked[n], "optional": n in optional} for n in names]
    # The folders of a layer that is judged itself are its own.
    others = [layer for layer in layers if not layer.startswith(request["task_root"] + "/")]
    report["layer_modules"] = below(others, from_layers)[:NAMES]
    report["loaded"] = sorted(loaded)[:FILES]
    see_root()
    if telling is not None:
        telling.end()
    write_all(("\n" + MARKER + json.dumps(report) + "\n").encode("ascii"))
    os._exit(0)


def ask_again(request, outcomes, note, compiler):
    """What a module needs may be what the handler prepares. In the handler's process that process answers, and the report says
    so: what fails by itself is not said to have been tried."""
    names = [outcome["name"] for outcome in outcomes]
    ended = ask(request, "again", names, HANDLER_SECONDS, compiler)
    if ended.answer is None:
        return
    note(ended.answer, True)
    for outcome, problem in zip(outcomes, ended.answer["result"]):
        outcome["after_handler"], outcome["problem"] = True, problem


def of_which_optional(request, names, loaded):
    """The modules that all code may be without, be it the artifact's own or what was loaded."""
    own = {os.path.join(request["task_root"], source) for source in request["sources"]}
    answer = ask(request, "optional", (names, sorted(own | loaded)), SCAN_SECONDS).answer
    return answer if type(answer) is list else []


def ask(request, part, name, seconds, compiler=None):
    """Have a part answered in a process of its own."""
    request["asks"] = compiler is not None
    ended = apart(starter(request, part, name), request["user"], seconds, request["scratch"], (0, FAILED), compiler)
    if ended.answer is not None:
        try:
            ended.answer = parsed(ended.answer)
            if part not in READS:
                hold(ended.answer, part, name, ended.code)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            ended.answer, ended.why, ended.tampered = None, "answers what was not asked", True
    return ended


def hold(answer, part, name, code):
    """Hold the form of an answer against what was asked. What is in it is held against the request outside."""
    if set(answer) != {"result", "loaded", "base", "asked"}:
        raise ValueError("other fields")
    for files in (answer["loaded"], answer["base"]):
        if type(files) is not list or not all(type(file) is str for file in files):
            raise ValueError("files")
    for top, place in answer["asked"].items():
        if not (place is None or type(place) is str and len(place) <= TEXT):
            raise ValueError("asked")
    result = answer["result"]
    if part == "again":
        good = type(result) is list and len(result) == len(name) and code == 0 and all(map(is_problem, result))
    elif part == "handler":
        texts = [result[key] for key in ("module", "attribute", "file")] + result["near"]
        good = (result["outcome"] == "found") == (code == 0) and is_problem(result["problem"], False)
        good = good and len(result) == 6 and all(text is None or type(text) is str for text in texts)
    else:
        good = (result is None) == (code == 0) and is_problem(result, False)
    if not good:
        raise ValueError("the exit code tells otherwise")


def is_problem(value, may_end=True):
    """Whether this is an exception as it is described, or none. How a process ended it does not tell itself."""
    if value is None:
        return True
    kinds = {
        "error": [str], "message": [str], "missing": [str, type(None)], "exit": [str, type(None)], "stand_in": [bool],
        "place": [str, type(None)], "traceback": [list], "ended": [str, type(None)] if may_end else [type(None)], "tampered": [bool],
    }
    known = set(value) == set(kinds) and all(type(value[key]) in kinds[key] for key in kinds)
    return known and not value["tampered"] and all(type(line) is str for line in value["traceback"])


def parsed(answer):
    """An answer's JSON. Its numbers are small, so that none takes long to read."""

    def small(text):
        if len(text) > 15:
            raise ValueError("a long number")
        return float(text) if not text.lstrip("-").isdigit() else int(text)

    return json.loads(answer.decode("utf-8"), parse_int=small, parse_float=small, parse_constant=small)


def fail(why):
    sys.stderr.write("kiln: " + why + "\n")
    sys.stderr.flush()
    os._exit(1)


# Python's own modules that the client of Lambda's runtimes has loaded when it imports a function's, seen with `awslambdaric` 4.2.2.
# Of any other, a file of the function with its name takes the place.
CLIENT = """abc atexit codecs collections concurrent contextlib copyreg decimal encodings enum functools genericpath heapq importlib io
itertools json keyword linecache logging math numbers operator os posixpath queue re reprlib site stat string sys textwrap threading
time traceback types warnings weakref zipimport""".split()
if sys.version_info < (3, 13):
    CLIENT += ["token", "tokenize"]
if sys.version_info < (3, 11):
    CLIENT += ["sre_compile", "sre_constants", "sre_parse"]


def starter(request, part, name):
    """What begins a part in its process: in this interpreter, or, where the process must be a fresh one, in another."""
    if part in READS or request["fresh"] is None:
        return lambda: judged(request, part, name)
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    script = words[words.index(b"-c") + 1]
    words = request["fresh"] + ["-c", script, json.dumps(dict(request, part=part, name=name))]
    environment = dict(os.environ, **request["environment"])
    if request["lambda"]:
        drop_home(environment, request["environment"])
    return lambda: os.execvpe(words[0], words, environment)


def judged(request, part, name):
    """Answers for one part, in the process that is judged by it."""
    process, dumps = os.getpid(), json.dumps
    for descriptor in (ANSWER, ASK, ANSWERS) if request["asks"] else (ANSWER,):
        os.set_inheritable(descriptor, False)
    faulthandler.enable(2)
    if part == "scan":
        reply(dumps(scan(request)).encode("ascii"))
    if part == "optional":
        reply(dumps(optional(*name)).encode("ascii"))
    OWN.update((os.path.join(request["task_root"], source), source) for source in request["sources"])
    os.environ.update(request["environment"])
    if request["lambda"]:
        drop_home(os.environ, request["environment"])
        without_semaphores()
    finder = StandIns(frozenset(request["runtime_modules"]))
    prepare(request, finder)
    if request["fresh"] is None:
        use_compiled(asking(ASK, ANSWERS) if request["asks"] else None)
    else:
        use_nothing()
    root, code = request["task_root"], 0
    roots = list(sys.path) if request["as_it_is"] else request["search_path"]
    own = [root] if request["as_it_is"] else request["search_path"]
    if part == "module":
        result = import_one(name, own)
        code = 0 if result is None else FAILED
    else:
        result = check_handler(request["handler"], root)
        code = 0 if result["outcome"] == "found" else FAILED
    if part == "again":
        result, code = [import_forked(module, request["seconds"], own) for module in name], 0
    files = within(sorted(set(loaded_files(roots)))[:FILES], ANSWER_BYTES // 2)
    base = within(sorted(set(loaded_files(["/"])) - set(files))[:FILES], ANSWER_BYTES // 8)
    asked = {top: finder.asked[top] for top in sorted(finder.asked)[:NAMES]}
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
    # Escapes keep lone surrogates, which are legal in a str and nowhere else.
    answer = {"result": result, "loaded": files, "base": base, "asked": asked}
    reply(dumps(answer).encode("ascii"), code, process)


def drop_home(environment, stated):
    """Take away the HOME that every engine sets, and Lambda does not."""
    if "HOME" not in stated:
        environment.pop("HOME", None)


def without_semaphores():
    """Let semaphores fail as where there is no /dev/shm in Lambda. How the C library says so differs between systems."""
    try:
        import _multiprocessing
    except ImportError:
        return
    plain = _multiprocessing.SemLock

    class SemLock:
        SEM_VALUE_MAX = plain.SEM_VALUE_MAX

        def __new__(cls, *arguments):
            raise OSError(38, os.strerror(38))

        _rebuild = __new__

    SemLock.__module__ = "_multiprocessing"
    _multiprocessing.SemLock = SemLock


def use_root_logger():
    """Give the root logger a handler, so that `logging.basicConfig` of what is imported does nothing, as in Lambda."""
    import logging

    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(message)s"
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(handler)


def within(texts, size):
    """As many of these texts as take so many bytes in an answer."""
    taken = []
    for text in texts:
        size -= len(json.dumps(text)) + 2
        if size < 0:
            break
        taken.append(text)
    return taken


def import_one(name, roots):
    try:
        make_way(name, roots)
        importlib.import_module(name)
    except BaseException as error:
        return describe(error)
    return None


def make_way(name, roots):
    """Let a file in these folders be what is imported under its name, where this program has loaded another one. A module that
    is part of the interpreter never makes way."""
    file = getattr(importlib.machinery.PathFinder.find_spec(name, roots), "origin", None)
    there = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None)
    if file is None or file == there:
        return
    if name in sys.builtin_module_names or there == "frozen":
        raise ImportError("`%s` is part of the interpreter" % name)
    for known in list(sys.modules):
        if known == name or known.startswith(name + "."):
            del sys.modules[known]


def prepare(request, finder):
    """Make this interpreter look like the one in Lambda: what it finds and what its arguments are."""
    root = request["task_root"]
    # What this itself needs of the standard library comes before a file of the artifact can have its name.
    if not hasattr(builtins, "exit"):
        # Without `site` these are missing; the runtime has them.
        import site

        site.setquit()
        site.setcopyright()
        site.sethelper()
    if "own_modules" in request and not request.get("as_it_is"):
        # What handles events does that itself.
        use_root_logger()
    if request.get("as_it_is"):
        # The script took the place of a program in the folder of the artifact's own code.
        sys.path[:] = [root] + [p for p in sys.path if p and p != root]
    else:
        load_as_client()
        standard = [p for p in sys.path if p and not p.rstrip("/").endswith(("site-packages", "dist-packages"))]
        sys.path[:] = request.get("search_path", [root] + request["layer_paths"]) + standard
    sys.path_importer_cache.clear()
    sys.meta_path.append(finder)
    sys.argv[:] = [""]
    sys.dont_write_bytecode = True


def load_client():
    for name in CLIENT:
        importlib.import_module(name)


def load_as_client():
    """Have loaded of Python's own modules what the client has in Lambda, and no other that this program needs itself: a `random.py`
    of the function is found there instead of Python's, by whatever imports `random`."""
    load_client()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if top not in CLIENT and not top.startswith("_") and origin.endswith(".py"):
            del sys.modules[name]


def check_handler(handler, task_root):
    """Apply the rule of AWS's runtime interface client (`awslambdaric.bootstrap._get_handler`)."""
    result = {"outcome": "found", "module": None, "attribute": None, "file": None, "near": [], "problem": None}
    module_name, _, attribute = handler.rpartition(".")
    if not (module_name and attribute):
        result["outcome"] = "malformed"
        return result
    result["module"], result["attribute"] = module_name.replace("/", "."), attribute
    if module_name.split(".")[0] in sys.builtin_module_names:
        result["outcome"] = "builtin"
        return result
    try:
        module = importlib.import_module(result["module"])
    except BaseException as error:
        absent = isinstance(error, ModuleNotFoundError)
        missing = text_or_none(getattr(error, "name", None)) or ""
        if absent and (result["module"] + ".").startswith(missing + ".") and not frames(error):
            result["outcome"] = "module-missing"
            result["near"] = near_modules(result["module"], task_root)
        else:
            result["outcome"] = "import-failed"
        result["problem"] = describe(error)
        return result
    result["file"] = text_or_none(getattr(module, "__file__", None))
    try:
        value = getattr(module, attribute)
    except BaseException as error:
        result["outcome"] = "attribute-missing"
        result["near"] = near_attributes(module, attribute) if result["file"] else []
        if not isinstance(error, AttributeError):
            result["problem"] = describe(error)
        return result
    try:
        usable = callable(value)
    except BaseException:
        usable = False
    if not usable:
        result["outcome"] = "not-callable"
        result["near"] = near_attributes(module, attribute) if result["file"] else []
    return result


def near_modules(wanted, task_root):
    """Modules of the artifact that the handler may have meant: equal last names anywhere, then similar ones."""
    found = []
    for folder, folders, files in os.walk(task_root):
        inside = os.path.relpath(folder, task_root)
        parts = [] if inside == "." else inside.split(os.sep)
        folders[:] = sorted(f for f in folders if f.isidentifier()) if len(parts) < 4 else []
        for file in sorted(files):
            stem, extension = os.path.splitext(file)
            if extension == ".py" and stem.isidentifier():
                found.append(".".join(parts if stem == "__init__" and parts else parts + [stem]))
        if len(found) > 20000:
            break
    last = wanted.rpartition(".")[2]
    same = [name for name in found if name.rpartition(".")[2] == last]
    return (same + [n for n in close_matches(wanted, found, 5, 0.75) if n not in same])[:5]


def near_attributes(module, wanted):
    """Callables that the module itself defines: names like the one asked for first. A module without a file is no part of
    what is checked."""
    own = []
    for name, value in sorted(list(vars(module).items()), key=lambda item: str(item[0])):
        try:
            if type(name) is str and len(name) < LINE and not name.startswith("_") and isinstance(value, types.FunctionType):
                if value.__module__ == module.__name__:
                    own.append(name)
        except BaseException:
            continue
    close = close_matches(wanted, own, 5, 0.5)
    return (close + [name for name in own if name not in close])[:5]


def close_matches(*arguments):
    import difflib

    return difflib.get_close_matches(*arguments)


def loaded_files(roots):
    """The files below these folders that modules were loaded from."""
    for module in list(sys.modules.values()):
        if isinstance(module, types.ModuleType) and not isinstance(module, StandInModule):
            file = text_or_none(module.__dict__.get("__file__"))
            if file and any(file.startswith(root.rstrip("/") + "/") for root in roots):
                yield file


def below(layers, loaded):
    """Top-level modules that were loaded from a layer, with their file."""
    found = {}
    for file in sorted(loaded):
        for layer in layers:
            prefix = layer.rstrip("/") + "/"
            if file.startswith(prefix):
                found.setdefault(file[len(prefix) :].split("/")[0].split(".")[0], file)
                break
    return [{"name": name, "file": file} for name, file in sorted(found.items())]


def import_forked(name, seconds, roots):
    """Import a module in a process that is forked off from this one, which it cannot spoil, and tell what came of it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            problem = import_one(name, roots)
            data = json.dumps(problem).encode("ascii")
            while data:
                data = data[os.write(write, data) :]
        finally:
            os._exit(0)
    os.close(write)
    data, until, ended = b"", time.monotonic() + seconds, None
    while True:
        if not select.select([read], [], [], max(0, until - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
            ended = "did not end within %d s" % seconds
            break
        chunk = os.read(read, 1 << 16)
        if not chunk:
            break
        data += chunk
    os.close(read)
    status = os.waitpid(child, 0)[1]
    if ended is None and not data:
        signalled = os.WIFSIGNALED(status)
        how = "by signal %d" % os.WTERMSIG(status) if signalled else "with exit code %d" % os.WEXITSTATUS(status)
        ended = "ends the process " + how
    return json.loads(data) if ended is None else without_exception(ended, False)


# What went wrong.


def without_exception(why, tampered):
    """What became of a process that ended without telling of an exception."""
    return {
        "error": "", "message": "", "missing": None, "exit": None, "stand_in": False, "place": None, "traceback": [],
        "ended": why, "tampered": tampered,
    }


def describe(error):
    """An exception as plain, bounded text; nothing in it can raise."""
    missing, exit_code, place = None, None, None
    for link in chain(error):
        if isinstance(link, ModuleNotFoundError) and missing is None:
            missing = text_or_none(getattr(link, "name", None))
    if isinstance(error, SystemExit):
        exit_code = text_or_none(safe_str(error.code))
    trace = error.__traceback__
    while trace is not None and is_machinery(trace.tb_frame):
        trace = trace.tb_next
    try:
        report = traceback.TracebackException(type(error), error, trace)
        for link in chain(report):
            # The import system hides its own frames, but not around one that is not its own.
            link.stack[:] = [frame for frame in link.stack if not is_hidden(frame)]
        lines = "".join(report.format()).rstrip().split("\n")
        place = own_place(report)
    except BaseException:
        lines = []
    return {
        "error": type(error).__name__[:LINE],
        "message": safe_str(error)[:TEXT],
        "missing": missing,
        "exit": exit_code,
        "stand_in": blames_stand_in(error),
        "place": place,
        "traceback": [line[:LINE] for line in lines[-LINES:]],
        "ended": None,
        "tampered": False,
    }


def chain(error):
    """The exception, then its causes, each once."""
    seen = []
    while error is not None and len(seen) < 20 and not any(error is link for link in seen):
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return seen


def own_place(report):
    """The last line of the artifact's own that an exception passed, or else one that it came of, as `file:line`. A syntax error
    passes none, and names its own."""
    for link in chain(report):
        passed = [(frame.filename, frame.lineno) for frame in link.stack]
        passed.append((getattr(link, "filename", None), getattr(link, "lineno", None)))
        for file, line in reversed(passed):
            if file in OWN and str(line).isdecimal() and 0 < int(line) < 1 << 31:
                return "%s:%d" % (OWN[file], int(line))
    return None


def is_hidden(frame):
    ours = frame.filename == "<string>" and frame.name == "source_to_code"
    return ours or frame.filename.startswith("<frozen importlib")


def frames(error):
    """Frames of the code under check, outermost first."""
    found, trace = [], error.__traceback__
    while trace is not None:
        if not is_machinery(trace.tb_frame):
            found.append(trace.tb_frame)
        trace = trace.tb_next
    return found


def is_machinery(frame):
    code = frame.f_code
    if frame.f_globals is globals():
        return True
    return code.co_filename.startswith("<frozen importlib") or (
        frame.f_globals.get("__name__") == "importlib" and code.co_name == "import_module"
    )


def blames_stand_in(error):
    """Whether the failure is one of a value that a stand-in gave, where the real module would have given another.

    Import, syntax and name errors are never excused: no value can cause them.
    """
    if isinstance(error, (ImportError, SyntaxError, NameError, SystemExit, KeyboardInterrupt)):
        return False
    try:
        if any(is_stand_in(value) for value in error.args) or StandIn.__name__ in safe_str(error):
            return True
        inner = [f for f in frames(error) if f.f_locals is not f.f_globals][-3:]
        return any(is_stand_in(value) for frame in inner for value in list(frame.f_locals.values()))
    except BaseException:
        return False


def is_stand_in(value):
    return isinstance(type(value), StandInClass) or isinstance(value, StandInClass)


def safe_str(value):
    try:
        return str(value)
    except BaseException:
        return "<no text>"


def text_or_none(value):
    return value[:TEXT] if type(value) is str else None


def importer():
    """The file and line of the code under check that is importing."""
    frame = sys._getframe(1)
    while frame is not None and is_machinery(frame):
        frame = frame.f_back
    return None if frame is None else "%s:%d" % (frame.f_code.co_filename[:LINE], frame.f_lineno)


main()
