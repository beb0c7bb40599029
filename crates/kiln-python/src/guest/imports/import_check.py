"""Import a Lambda handler and other modules as the runtime would, and report what happened.

Run by kiln inside a base image as `python3 -I -S -c <import_scan.py and this text> <request as JSON>`, on Python 3.9 or
later, with the standard library alone. The last line on standard output that starts with MARKER carries the report as JSON.
Whatever the imported code prints goes to standard error.

The handler is imported first, in this process, as Lambda does. Everything else is imported in processes forked off from it:
a module that ends or breaks its process, hangs, or changes what others see spoils nothing but its own import.
"""

import builtins
import difflib
import faulthandler
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import select
import signal
import sys
import time
import traceback
import types
from abc import ABCMeta

MARKER = "KILN-IMPORT-REPORT "
STAND_IN_VERSION = "9999.0"
# Bounds of the report: code under check decides how long its messages are.
LINES, LINE, TEXT, NAMES, FILES = 24, 400, 2000, 1000, 20000


def main():
    request = json.loads(sys.argv[1])
    process = os.getpid()
    # The report keeps its own descriptor, so nothing that is printed can reach it.
    sys.stdout.flush()
    report_to = os.dup(1)
    os.dup2(2, 1)
    faulthandler.enable(2)

    task_root, layers = request["task_root"], request["layer_paths"]
    finder = StandIns(frozenset(request["runtime_modules"]))
    prepare(request, finder)

    report = {"version": "%d.%d.%d" % sys.version_info[:3], "handler": None, "modules": []}
    # The files are read before any of the code runs.
    report["scan"] = scan(request)
    if request["handler"] is not None:
        report["handler"] = check_handler(request["handler"], task_root)
    # What the artifact's own code loads, and what anything loads from a layer.
    roots = list(sys.path) if request.get("as_it_is") else [task_root] + layers
    loaded = set(loaded_files(roots))
    from_layers = set(loaded)
    seconds = request["seconds"]
    for names, apart in ((request["modules"], False), (request["own_modules"], True)):
        for outcome in import_apart(names[:NAMES], apart, seconds, finder, roots):
            files = outcome.pop("loaded", ())
            from_layers.update(files)
            if apart:
                loaded.update(files)
            for name, asked_by in outcome.pop("asked", {}).items():
                finder.asked.setdefault(name, asked_by)
            outcome["own"] = apart
            report["modules"].append(outcome)
    report["stand_ins"] = [{"name": n, "asked_by": finder.asked[n]} for n in sorted(finder.asked)][:NAMES]
    report["layer_modules"] = below(layers, from_layers)[:NAMES]
    report["loaded"] = sorted(loaded)[:FILES]

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
    # A process that the imported code forked off must not report a second time.
    if os.getpid() == process:
        # Lone surrogates are legal in a str and nowhere else.
        data = ("\n" + MARKER + json.dumps(report, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        while data:
            data = data[os.write(report_to, data):]
    # Threads and exit handlers of the imported code do not keep the check waiting.
    os._exit(0)


def prepare(request, finder):
    """Make this interpreter look like the one in Lambda: what it finds and what its arguments are."""
    root = request["task_root"]
    if request.get("as_it_is"):
        # The script took the place of a program in the folder of the artifact's own code.
        sys.path[:] = [root] + [p for p in sys.path if p and p != root]
    else:
        standard = [p for p in sys.path if p and not p.rstrip("/").endswith(("site-packages", "dist-packages"))]
        sys.path[:] = [root] + request["layer_paths"] + standard
    sys.path_importer_cache.clear()
    sys.meta_path.append(finder)
    sys.argv[:] = [""]
    sys.dont_write_bytecode = True
    if not hasattr(builtins, "exit"):
        # Without `site` these are missing; the runtime has them.
        import site

        site.setquit()
        site.setcopyright()
        site.sethelper()


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
        result["near"] = near_attributes(module, attribute)
        if not isinstance(error, AttributeError):
            result["problem"] = describe(error)
        return result
    try:
        usable = callable(value)
    except BaseException:
        usable = False
    if not usable:
        result["outcome"] = "not-callable"
        result["near"] = near_attributes(module, attribute)
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
    return (same + [n for n in difflib.get_close_matches(wanted, found, 5, 0.75) if n not in same])[:5]


def near_attributes(module, wanted):
    """Callables that the module itself defines: names like the one asked for first."""
    own = []
    for name, value in sorted(list(vars(module).items()), key=lambda item: str(item[0])):
        try:
            if type(name) is str and not name.startswith("_") and isinstance(value, types.FunctionType):
                if value.__module__ == module.__name__:
                    own.append(name)
        except BaseException:
            continue
    close = difflib.get_close_matches(wanted, own, 5, 0.5)
    return (close + [name for name in own if name not in close])[:5]


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
    return [{"name": name, "file": file} for name, file in sorted(found.items())]


def import_apart(names, each, seconds, finder, roots):
    """Import modules in forked processes and report what came of each: one process for all of them, or for each its own.
    A process that does not answer in time or ends by itself is blamed on the module that it was importing."""
    outcomes, rest = [], list(names)
    while rest:
        batch = rest[:1] if each else rest
        answers = import_batch(batch, seconds, finder, roots)
        outcomes.extend(answers)
        rest = rest[len(answers) :]
    return outcomes


def import_batch(names, seconds, finder, roots):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            sent = set()
            for name in names:
                problem = None
                try:
                    importlib.import_module(name)
                except BaseException as error:
                    problem = describe(error)
                new = set(loaded_files(roots)) - sent
                sent |= new
                answer = {"name": name, "problem": problem, "loaded": sorted(new), "asked": dict(finder.asked)}
                data = (json.dumps(answer) + "\n").encode("ascii")
                while data:
                    data = data[os.write(write, data) :]
        finally:
            os._exit(0)
    os.close(write)
    answers, buffer, ended = [], b"", None
    while len(answers) < len(names):
        until = time.monotonic() + seconds
        while b"\n" not in buffer:
            if not select.select([read], [], [], max(0, until - time.monotonic()))[0]:
                os.kill(child, signal.SIGKILL)
                ended = "did not end within %d s" % seconds
                break
            data = os.read(read, 1 << 16)
            if not data:
                break
            buffer += data
        if b"\n" not in buffer:
            break
        line, _, buffer = buffer.partition(b"\n")
        try:
            answers.append(json.loads(line))
        except ValueError:
            ended = "writes to a descriptor that is not its own"
            os.kill(child, signal.SIGKILL)
            break
    os.close(read)
    status = os.waitpid(child, 0)[1]
    if len(answers) < len(names):
        if ended is None and os.WIFSIGNALED(status):
            ended = "ends the process by signal %d" % os.WTERMSIG(status)
        elif ended is None:
            ended = "ends the process with exit code %d" % os.WEXITSTATUS(status)
        problem = {
            "error": "", "message": "", "missing": None, "exit": None, "stand_in": False, "traceback": [], "ended": ended,
        }
        answers.append({"name": names[len(answers)], "problem": problem})
    return answers


# What went wrong.


def describe(error):
    """An exception as plain, bounded text; nothing in it can raise."""
    missing, exit_code = None, None
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
        lines = "".join(report.format()).rstrip().split("\n")
    except BaseException:
        lines = []
    return {
        "error": type(error).__name__[:LINE],
        "message": safe_str(error)[:TEXT],
        "missing": missing,
        "exit": exit_code,
        "stand_in": blames_stand_in(error),
        "traceback": [line[:LINE] for line in lines[-LINES:]],
        "ended": None,
    }


def chain(error):
    """The exception, then its causes, each once."""
    seen = []
    while error is not None and len(seen) < 20 and not any(error is link for link in seen):
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return seen


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


# Stand-ins for modules that the runtime provides and the base does not have. Everything can be got, called, subclassed,
# used as a decorator and caught, so that an import succeeds wherever the real module would let it succeed.


class StandInClass(ABCMeta):
    """The type of stand-in classes; derived from ABCMeta so that they mix with abstract base classes."""

    def __getattr__(cls, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return attribute_of(cls, name)

    def __call__(cls, *args, **kwargs):
        if "_kiln_path" in cls.__dict__ and len(args) == 1 and not kwargs and is_decorable(args[0]):
            return args[0]
        return super().__call__(*args, **kwargs)

    # ABCMeta would look for these on the class, where they are those of its values.
    def __instancecheck__(cls, instance):
        return type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, subclass):
        return type.__subclasscheck__(cls, subclass)

    def __getitem__(cls, item):
        return cls

    def __or__(cls, other):
        return cls

    def __ror__(cls, other):
        return cls

    def __iter__(cls):
        return iter(())

    def __contains__(cls, item):
        return False

    def __len__(cls):
        return 0

    def __bool__(cls):
        return True


class StandIn(metaclass=StandInClass):
    """A value of which anything may be asked."""

    _kiln_path = "?"

    def __init__(self, *args, **kwargs):
        pass

    def __init_subclass__(cls, **kwargs):
        pass

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return attribute_of(type(self), name)

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and not kwargs and is_decorable(args[0]):
            return args[0]
        return StandIn()

    def __mro_entries__(self, bases):
        return (type(self),)

    def __instancecheck__(self, instance):
        return False

    def __subclasscheck__(self, subclass):
        return False

    def _itself(self, *args, **kwargs):
        return self

    __getitem__ = __enter__ = _itself
    __or__ = __ror__ = __and__ = __rand__ = __xor__ = __rxor__ = __invert__ = _itself
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _itself
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __neg__ = __pos__ = __abs__ = _itself

    def _nothing(self, *args, **kwargs):
        return None

    __setitem__ = __delitem__ = __exit__ = _nothing

    def _yes(self, *args, **kwargs):
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _yes

    def __await__(self):
        return iter(())

    async def __aenter__(self):
        return self

    async def __aexit__(self, *args):
        return None

    def __iter__(self):
        return iter(())

    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration

    def __contains__(self, item):
        return False

    def __len__(self):
        return 0

    def __int__(self):
        return 1

    __index__ = __hash__ = __int__

    def __float__(self):
        return 1.0

    def __eq__(self, other):
        return self is other

    def __str__(self):
        return "stand-in"

    def __fspath__(self):
        return "/nonexistent/stand-in"


class StandInModule(types.ModuleType):
    """A module of which anything may be imported."""

    def __getattr__(self, name):
        if name == "__version__":
            return STAND_IN_VERSION
        if name == "__file__":
            return "/nonexistent/%s/__init__.py" % self.__name__.replace(".", "/")
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        value = stand_in(self.__name__ + "." + name, name)
        setattr(self, name, value)
        return value


ERROR_ENDINGS = ("Error", "Exception", "Warning", "Exceeded", "NotFound", "Fault", "Failure")


def attribute_of(owner, name):
    return stand_in("%s.%s" % (owner.__dict__.get("_kiln_path", owner.__name__), name), name)


def stand_in(path, name):
    """A class where the name looks like a class's, else a value. Names of errors give exceptions, for `except`."""
    parents = path.split(".")[:-1]
    if name.endswith(ERROR_ENDINGS) or (name[:1].isupper() and ("exceptions" in parents or "errors" in parents)):
        return StandInClass(name, (StandIn, Exception), {"_kiln_path": path, "__module__": parents[0]})
    # The type's name shows in messages of type errors, where it is looked for.
    kind = StandInClass("StandIn_" + name, (StandIn,), {"_kiln_path": path})
    return kind if name[:1].isupper() else kind()


def is_decorable(value):
    if isinstance(value, type) and issubclass(value, type):
        # A metaclass is an argument of the decorator, as in `six.add_metaclass(ABCMeta)`.
        return False
    return isinstance(value, (types.FunctionType, types.MethodType, type, staticmethod, classmethod, property))


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that nothing else finds, if the runtime provides their top-level name."""

    def __init__(self, provided):
        self.provided = provided
        self.asked = {}

    def find_spec(self, name, path=None, target=None):
        top, dot, _ = name.partition(".")
        if top not in self.provided:
            return None
        if dot and not isinstance(sys.modules.get(name.rpartition(".")[0]), StandInModule):
            # The real package is there, so a module that it lacks is missing.
            return None
        if top not in self.asked:
            self.asked[top] = importer()
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return StandInModule(spec.name)

    def exec_module(self, module):
        module.__path__ = []

    def find_distributions(self, context=None):
        """Answer `importlib.metadata.version("boto3")` as the module's own `__version__` is answered."""
        import importlib.metadata

        name = getattr(context, "name", None)
        if type(name) is not str or name not in self.provided:
            return

        class Provided(importlib.metadata.Distribution):
            def read_text(self, filename):
                text = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, STAND_IN_VERSION)
                return text if filename == "METADATA" else None

            def locate_file(self, path):
                return path

        yield Provided()


def importer():
    """The file and line of the code under check that is importing."""
    frame = sys._getframe(1)
    while frame is not None and is_machinery(frame):
        frame = frame.f_back
    return None if frame is None else "%s:%d" % (frame.f_code.co_filename[:LINE], frame.f_lineno)


main()
