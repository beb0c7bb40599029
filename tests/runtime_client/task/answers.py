"""What a handler may give back, by name."""
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import types
import uuid


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    ONE = "one"


class Real(float):
    def __repr__(self):
        return "real"


class Whole(int):
    def __repr__(self):
        return "whole"


@dataclasses.dataclass
class Data:
    x: int = 1


class AsDict:
    def _asdict(self):
        return {"a": 1}


class ForJson:
    def for_json(self):
        return {"a": 1}


Pair = collections.namedtuple("Pair", "x y")


def circular():
    value = []
    value.append(value)
    return value


def circular_in_dict():
    value = {}
    value["a"] = [value]
    return value


def deep():
    value = None
    for _ in range(20000):
        value = [value]
    return value


async def coroutine():
    return 1


VALUES = {
    "none": lambda: None,
    "true": lambda: True,
    "integer": lambda: 3,
    "large integer": lambda: 10**40,
    "float": lambda: 0.1,
    "float of an exponent": lambda: 1e300,
    "negative zero": lambda: -0.0,
    "not a number": lambda: float("nan"),
    "infinity": lambda: [float("inf"), -float("inf")],
    "text": lambda: "text",
    "empty text": lambda: "",
    "text with quotes": lambda: "\"\\/\b\f\n\r\t\x00\x1f\x7f",
    "text of other scripts": lambda: "ü€\u2028\u2029𝄞",
    "surrogate": lambda: "a\ud800b",
    "surrogate in a key": lambda: {"\udfff": 1},
    "bytes": lambda: b"\x01 raw",
    "bytes of no text": lambda: b"\xff\xfe",
    "bytes inside": lambda: {"a": b"text"},
    "bytes of no text inside": lambda: {"a": b"\xff"},
    "bytearray": lambda: bytearray(b"a"),
    "memoryview": lambda: [memoryview(b"a")],
    "decimal": lambda: decimal.Decimal("1.10"),
    "decimal of an exponent": lambda: decimal.Decimal("1E+5"),
    "decimal not a number": lambda: decimal.Decimal("-NaN"),
    "decimal infinity": lambda: decimal.Decimal("Infinity"),
    "decimal as a key": lambda: {decimal.Decimal("1.5"): 1},
    "fraction": lambda: fractions.Fraction(1, 3),
    "set": lambda: {1},
    "frozenset": lambda: {"a": frozenset()},
    "tuple": lambda: (1, (2, ())),
    "named tuple": lambda: Pair(1, Pair(2, 3)),
    "range": lambda: range(3),
    "generator": lambda: (n for n in range(3)),
    "iterator": lambda: iter([1]),
    "dict views": lambda: {"a": {}.keys()},
    "ordered": lambda: collections.OrderedDict(b=1, a=2),
    "default dict": lambda: collections.defaultdict(int, a=1),
    "counter": lambda: collections.Counter("aab"),
    "deque": lambda: collections.deque([1]),
    "mapping proxy": lambda: types.MappingProxyType({}),
    "chain map": lambda: collections.ChainMap({}),
    "user dict": lambda: collections.UserDict(a=1),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "integer keys": lambda: {1: 1, 10**30: 2},
    "float keys": lambda: {0.5: 1, float("nan"): 2},
    "keys of constants": lambda: {None: 1, True: 2, False: 3},
    "bytes keys": lambda: {b"a": 1},
    "tuple keys": lambda: {(1, 2): 1},
    "keys of a kind": lambda: {Number.ONE: 1, Word.ONE: 2},
    "keys of enumerations": lambda: {Colour.RED: 1},
    "keys twice": lambda: {1: "a", "1": "b"},
    "enumeration": lambda: Colour.RED,
    "integer enumeration": lambda: Number.ONE,
    "text enumeration": lambda: [Word.ONE],
    "kind of float": lambda: Real(1.5),
    "kind of integer": lambda: Whole(7),
    "date": lambda: datetime.date(2020, 1, 1),
    "time": lambda: {"at": datetime.datetime(2020, 1, 1)},
    "identifier": lambda: uuid.UUID(int=1),
    "data class": lambda: Data(),
    "as dict": lambda: AsDict(),
    "for json": lambda: ForJson(),
    "exception": lambda: {"e": ValueError("x")},
    "class": lambda: Data,
    "module": lambda: types,
    "function": lambda: deep,
    "ellipsis": lambda: ...,
    "complex": lambda: 1j,
    "coroutine": coroutine,
    "circular": circular,
    "circular in a dict": circular_in_dict,
    "the same twice": lambda: [[1]] * 2 + [{"a": 1}] * 2,
    "deep": deep,
    "empty": lambda: [{}, [], (), ""],
    "gateway": lambda: {"statusCode": 200, "body": "{\"a\": 1}", "headers": {}, "isBase64Encoded": False},
    "almost too large": lambda: "x" * (6 * 1024 * 1024),
    "too large": lambda: "x" * (6 * 1024 * 1024 + 99),
    "object": lambda: [object],
}


def handler(event, context):
    return VALUES[event]()


def echo(event, context):
    return event


def kind(event, context):
    return [type(event).__name__, repr(event)]
