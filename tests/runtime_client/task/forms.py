"""Forms that a handler may have."""
import functools

count = 0


def warm(event, context):
    global count
    count += 1
    return count


def one(event):
    return 1


def many(event, context, *rest, **more):
    return [len(rest), len(more)]


async def coroutine(event, context):
    return 1


def generator(event, context):
    yield 1


def given(prefix, event, context):
    return [prefix, event]


partial = functools.partial(given, "p")
short = lambda event, context: event
builtin = max
number = 7
text = "text"


class Made:
    def __init__(self, event, context):
        self.event = event


class Listed(list):
    def __init__(self, event, context):
        super().__init__([event])


class Called:
    def __call__(self, event, context):
        return "called"

    def method(self, event, context):
        return "method"

    @staticmethod
    def static(event, context):
        return "static"


called = Called()
bound = called.method


@functools.lru_cache
def cached(event, context):
    return event


def __getattr__(name):
    if name == "made_when_asked":
        return lambda event, context: "made"
    if name == "fails_when_asked":
        raise ValueError("asked")
    raise AttributeError(name)
