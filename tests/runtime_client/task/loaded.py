import sys

# Of Python's own modules, those that a file of the function can take the place of, when nothing of the function is loaded yet.
FOUND = sorted(
    name
    for name, module in list(sys.modules.items())
    if name in sys.stdlib_module_names and not name.startswith("_") and (module.__spec__.origin or "").endswith(".py")
)


def handler(event, context):
    return FOUND
