"""Read, without running them, which modules the artifact's own files import, and which of those are nowhere.

The parser is the base's own `ast`: the grammar of exactly the interpreter that the artifact is for. This text stands before
`import_check.py` in one program.
"""

import importlib.machinery
import os
import sys

# Bounds of the report: the code under check decides how much there is to tell.
PLACES = 500


def scan(request):
    """Scan the files of `request["sources"]` and report what they import."""
    if request["sources"]:
        # Compiling it takes as long as all that the program needs besides.
        global ast
        import ast
    scanner = Scanner(request)
    for path in request["sources"]:
        scanner.file(path)
    return {
        "files": scanner.files,
        "imports": scanner.imports,
        "unresolved": sorted(scanner.unresolved.values(), key=lambda u: (u["file"], u["line"], u["module"]))[:PLACES],
        "dynamic": sorted(scanner.dynamic)[:PLACES],
        "unreadable": sorted(scanner.unreadable)[:PLACES],
        "first": [{"module": m, "at": scanner.first[m]} for m in sorted(scanner.first)][:PLACES],
        "lazy": sorted(scanner.lazy - scanner.eager)[:PLACES],
    }


def optional(modules, files):
    """Of these top-level modules, those that the files import, and only where they may be missing."""
    global ast
    import ast
    uses = Uses()
    for path in files:
        if not path.endswith(".py"):
            continue
        try:
            with open(path, "rb") as source:
                text = source.read()
            if any(module.encode() in text for module in modules):
                Imports(uses, path, [], ast.parse(text, path)).all()
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return sorted(set(modules) & uses.optional - uses.required)


class Uses:
    """Which top-level modules files import so that they may be missing, and which so that they may not. Nothing is taken to be
    there, so that what stands in for another import counts as well."""

    def __init__(self):
        self.optional, self.required = set(), set()
        self.roots, self.dynamic = [], []

    def note(self, path, line, module, context):
        if not context.typing:
            (self.optional if context.optional else self.required).add(module.partition(".")[0])
        return False


def searched(root):
    """Where the interpreter of an image looks for modules, by the rules of `site` but without running what it would run."""
    import site

    prefixes, folders = [sys.prefix, sys.exec_prefix], []
    home = os.path.dirname(os.path.abspath(sys.executable))
    for place in (home, os.path.dirname(home)):
        try:
            with open(os.path.join(place, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
                settings = file.read().lower().replace(" ", "").splitlines()
        except OSError:
            continue
        # `site` itself is told of a virtual environment when it is run, which it is not here.
        version = "python%d.%d" % sys.version_info[:2]
        libraries = dict.fromkeys([sys.platlibdir, "lib"])
        folders = [os.path.join(os.path.dirname(home), name, version, "site-packages") for name in libraries]
        prefixes = prefixes if "include-system-site-packages=true" in settings else []
        break
    stated = [folder for folder in os.environ.get("PYTHONPATH", "").split(":") if folder]
    places = [root] + stated + [folder for folder in sys.path if folder]
    for folder in folders + site.getsitepackages(list(dict.fromkeys(prefixes))):
        places.append(folder)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if not name.endswith(".pth"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file]
            lines = [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]
            places += [path for path in (os.path.join(folder, line) for line in lines) if os.path.exists(path)]
    return list(dict.fromkeys(places))


class Scanner:
    def __init__(self, request):
        self.root = request["task_root"]
        # In the artifact's own image modules are where its interpreter looks.
        self.roots = searched(self.root) if request["as_it_is"] else request["search_path"]
        self.known = set(request["stdlib"]) | set(sys.builtin_module_names) | set(request["runtime_modules"])
        self.own = request["sources"]
        self.files, self.imports = 0, 0
        self.unresolved, self.dynamic, self.unreadable = {}, [], []
        self.first, self.eager, self.lazy = {}, set(), set()
        self.found = {}

    def file(self, path):
        try:
            with open(os.path.join(self.root, path), "rb") as source:
                tree = ast.parse(source.read(), path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            self.unreadable.append("%s:%d: %s" % (path, line, getattr(error, "msg", None) or error))
            return
        self.files += 1
        parts = path[: -len(".py")].split("/")
        package = parts[:-1]
        try:
            Imports(self, path, package, tree).all()
        except RecursionError:
            self.unreadable.append("%s:1: it is nested too deeply to be read" % path)

    def note(self, path, line, module, context):
        """An import of an absolute module name; `True` if it can be found."""
        self.imports += 1
        top = module.partition(".")[0]
        if not context.typing:
            (self.lazy if context.lazy else self.eager).add(top)
        here = self.exists(module)
        if here:
            if not context.typing and top not in self.first:
                self.first[top] = "%s:%d" % (path, line)
        elif not context.optional and not context.typing:
            key = (path, module)
            told = self.unresolved.get(key)
            conditional = context.conditional and (told is None or told["conditional"])
            lazy = context.lazy and (told is None or told["lazy"])
            line = line if told is None else min(line, told["line"])
            self.unresolved[key] = {
                "file": path, "line": line, "module": module, "lazy": lazy, "conditional": conditional,
            }
        return here

    def exists(self, module):
        if module not in self.found:
            self.found[module] = self.look_for(module)
        return self.found[module]

    def look_for(self, module):
        """Whether a module is there, by files alone. Below a regular package of somebody else nothing is judged: such
        packages make modules as they like."""
        parts = module.split(".")
        if parts[0] in self.known:
            return True
        places = self.roots
        for depth, part in enumerate(parts):
            folders, own = [], False
            for place in places:
                kind = module_at(place, part)
                if kind == "module":
                    return True
                if kind == "package":
                    folder = os.path.join(place, part)
                    own = place == self.root or place.startswith(self.root + "/")
                    own = own and self.is_own(folder)
                    folders = [folder]
                    if not own:
                        return True
                    break
                if kind == "namespace":
                    folders.append(os.path.join(place, part))
            if not folders:
                return False
            if own and depth + 1 < len(parts) and dynamic_package(folders[0]):
                return True
            places = folders
        return True

    def is_own(self, folder):
        """Whether a package is the artifact's own code rather than a distribution's."""
        relative = os.path.relpath(folder, self.root)
        return any(source.startswith(relative + "/") for source in self.own)


def module_at(place, name):
    """What a folder has under a module's name: "package", "module", "namespace" or None."""
    path = os.path.join(place, name)
    suffixes = importlib.machinery.all_suffixes()
    if os.path.isdir(path):
        if any(os.path.isfile(os.path.join(path, "__init__" + suffix)) for suffix in suffixes):
            return "package"
    if any(os.path.isfile(path + suffix) for suffix in suffixes):
        return "module"
    return "namespace" if os.path.isdir(path) else None


def dynamic_package(folder):
    """Whether a package may make modules by itself: it has `__getattr__`, or touches `__path__` or `sys.modules`."""
    try:
        with open(os.path.join(folder, "__init__.py"), "rb") as source:
            text = source.read()
    except OSError:
        return True
    return any(word in text for word in (b"__getattr__", b"__path__", b"sys.modules"))


class Context:
    """Where an import stands."""

    def __init__(self, lazy=False, optional=False, conditional=False, typing=False):
        self.lazy, self.optional, self.conditional, self.typing = lazy, optional, conditional, typing

    def but(self, **changes):
        return Context(**{**self.__dict__, **changes})


class Imports:
    """Finds the imports of one file."""

    def __init__(self, scanner, path, package, tree):
        self.scanner, self.path, self.package, self.tree = scanner, path, package, tree
        self.flags = None

    def all(self):
        self.block(self.tree.body, Context())

    def tells_of_import(self, test):
        """Whether a condition is a name that is true only where the imports of an attempt succeeded."""
        if not isinstance(test, ast.Name):
            return False
        if self.flags is None:
            self.flags = import_flags(self.tree)
        return test.id in self.flags

    def block(self, statements, context):
        """Visit statements; `True` if every import among them can be found."""
        return all([self.statement(statement, context) for statement in statements])

    def statement(self, node, context):
        if isinstance(node, ast.Import):
            return all([self.scanner.note(self.path, node.lineno, alias.name, context) for alias in node.names])
        if isinstance(node, ast.ImportFrom):
            return self.import_from(node, context)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for part in node.decorator_list + node.args.defaults + [d for d in node.args.kw_defaults if d]:
                self.expression(part, context)
            self.block(node.body, context.but(lazy=True))
            return True
        if isinstance(node, ast.ClassDef):
            for part in node.decorator_list + node.bases + [k.value for k in node.keywords]:
                self.expression(part, context)
            return self.block(node.body, context)
        if isinstance(node, ast.If):
            return self.condition(node, context)
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            return self.attempt(node, context)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.expression(item.context_expr, context)
            forgiving = any(suppresses_import_errors(item.context_expr) for item in node.items)
            return self.block(node.body, context.but(optional=True) if forgiving else context)
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            self.expression(node.iter if hasattr(node, "iter") else node.test, context)
            inner = context.but(conditional=True)
            return self.block(node.body, inner) & self.block(node.orelse, inner)
        if type(node).__name__ == "Match":
            self.expression(node.subject, context)
            return all([self.block(case.body, context.but(conditional=True)) for case in node.cases])
        for child in ast.iter_child_nodes(node):
            self.expression(child, context)
        return True

    def import_from(self, node, context):
        if node.level:
            base = self.package[: max(0, len(self.package) - node.level + 1)]
            if not base:
                # There is no package that high; the live import says so.
                return True
            module = ".".join(base + ([node.module] if node.module else []))
        else:
            module = node.module
        here = self.scanner.note(self.path, node.lineno, module, context)
        if here and is_namespace(self.scanner.roots, module):
            for alias in node.names:
                if alias.name != "*":
                    here &= self.scanner.note(self.path, node.lineno, module + "." + alias.name, context)
        return here

    def condition(self, node, context):
        value = decide(node.test)
        if value is None:
            self.expression(node.test, context)
            inner = context.but(conditional=True)
            body = inner.but(optional=True) if self.tells_of_import(node.test) else inner
            return self.block(node.body, body) & self.block(node.orelse, inner)
        if value == "typing":
            self.block(node.body, context.but(typing=True))
            return self.block(node.orelse, context)
        return self.block(node.body if value else node.orelse, context)

    def attempt(self, node, context):
        if not any(catches_import_errors(handler) for handler in node.handlers):
            here = self.block(node.body, context)
            for handler in node.handlers:
                self.block(handler.body, context.but(conditional=True))
        else:
            here = self.block(node.body, context.but(optional=True))
            # What stands in the handler is imported only where the first choice is missing.
            if not here:
                alternatives = [h for h in node.handlers if catches_import_errors(h)]
                here = all([self.block(handler.body, context) for handler in alternatives])
        self.block(node.orelse, context)
        self.block(node.finalbody, context)
        return here

    def expression(self, node, context):
        """Imports by call: `importlib.import_module("a")`, `__import__("a")`."""
        for part in ast.walk(node):
            if isinstance(part, ast.Lambda):
                context = context.but(lazy=True)
            if not isinstance(part, ast.Call):
                continue
            name = dotted(part.func)
            if name not in ("importlib.import_module", "import_module", "__import__"):
                continue
            argument = part.args[0] if part.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                if argument.value and not argument.value.startswith("."):
                    self.scanner.note(self.path, part.lineno, argument.value, context)
            else:
                self.scanner.dynamic.append("%s:%d" % (self.path, part.lineno))


def is_namespace(roots, module):
    """Whether a module is a namespace package, so that what is taken from it must be a module itself."""
    places = roots
    for part in module.split("."):
        kinds = [(module_at(place, part), os.path.join(place, part)) for place in places]
        if not any(kinds) or any(kind in ("package", "module") for kind, _ in kinds):
            return False
        places = [path for kind, path in kinds if kind == "namespace"]
        if not places:
            return False
    return True


def import_flags(tree):
    """Names such as `has_x`: `try: import x; has_x = True` with a handler of import errors, and nothing true elsewhere."""
    true, others = set(), set()
    expected, assigned = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(catches_import_errors(handler) for handler in node.handlers):
            expected.update(id(statement) for statement in node.body + node.orelse)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                assigned[id(target)] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            statement = assigned.get(id(node))
            if statement is None:
                others.add(node.id)
            elif statement.value.value:
                (true if id(statement) in expected else others).add(node.id)
        elif isinstance(node, ast.arg):
            others.add(node.arg)
        elif isinstance(node, ast.alias):
            others.add(node.asname or node.name)
    return true - others


def catches_import_errors(handler):
    names = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any((dotted(kind) or "").rpartition(".")[2] in names for kind in types)


def suppresses_import_errors(node):
    if not isinstance(node, ast.Call) or (dotted(node.func) or "").rpartition(".")[2] != "suppress":
        return False
    return any((dotted(a) or "") in ("ImportError", "ModuleNotFoundError", "Exception") for a in node.args)


def dotted(node):
    """`a.b.c` as text, or None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return None if inner is None else inner + "." + node.attr
    return None


def decide(test):
    """The truth of a condition that is the same on every run here: True, False, "typing", or None where it is not known."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    name = dotted(test)
    if name is not None and name.rpartition(".")[2] == "TYPE_CHECKING":
        return "typing"
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        value = decide(test.operand)
        return True if value == "typing" else None if value is None else not value
    if isinstance(test, ast.BoolOp):
        values = [decide(value) for value in test.values]
        known = [value for value in values if value is not None and value != "typing"]
        stop = isinstance(test.op, ast.Or)
        if stop in known:
            return stop
        if "typing" in values:
            return "typing" if not stop else None
        return (not stop) if len(known) == len(values) else None
    if isinstance(test, ast.Call):
        if dotted(test.func) == "sys.platform.startswith" and len(test.args) == 1:
            try:
                return sys.platform.startswith(ast.literal_eval(test.args[0]))
            except (ValueError, TypeError):
                return None
        return None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right = test.left, test.comparators[0]
        if dotted(left) == "__name__":
            # Lambda imports the file; it never runs it as a program.
            return False if isinstance(test.ops[0], ast.Eq) else None
        facts = {"sys.version_info": sys.version_info, "sys.platform": sys.platform, "os.name": os.name}
        if isinstance(left, ast.Subscript) and dotted(left.value) == "sys.version_info":
            try:
                index = left.slice
                if isinstance(index, ast.Slice):
                    upper = None if index.upper is None else ast.literal_eval(index.upper)
                    fact = tuple(sys.version_info[:upper])
                else:
                    fact = sys.version_info[ast.literal_eval(index)]
            except (ValueError, TypeError, IndexError):
                return None
        elif dotted(left) in facts:
            fact = facts[dotted(left)]
        else:
            return None
        try:
            value = ast.literal_eval(right)
            operator = type(test.ops[0])
            if operator is ast.Eq:
                return fact == value
            if operator is ast.NotEq:
                return fact != value
            if operator is ast.GtE:
                return fact >= value
            if operator is ast.Gt:
                return fact > value
            if operator is ast.LtE:
                return fact <= value
            if operator is ast.Lt:
                return fact < value
            if operator is ast.In:
                return fact in value
        except (ValueError, TypeError):
            return None
    return None
