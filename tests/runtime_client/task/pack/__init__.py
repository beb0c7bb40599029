from .inner import name


def handler(event, context):
    return [__name__, name]
