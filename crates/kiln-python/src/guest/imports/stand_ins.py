"""Stand-ins for modules that the runtime provides and the base does not have.

Everything can be got, called, subclassed, used as a decorator and caught, so that an import succeeds wherever the real module
would let it succeed. This text stands before `import_check.py` in one program.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from abc import ABCMeta

STAND_IN_VERSION = "9999.0"


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
