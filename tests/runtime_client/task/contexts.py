"""What a handler finds in its context and around it, by name."""
import os
import sys

FIELDS = "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb function_version".split()
FIELDS += "invoked_function_arn client_context tenant_id".split()
FOUND = {
    "fields": lambda event, context: {name: getattr(context, name) for name in FIELDS},
    "names": lambda event, context: sorted(name for name in dir(context) if not name.startswith("_")),
    "type": lambda event, context: [type(context).__name__, type(context.identity).__name__],
    "text": lambda event, context: repr(context),
    "identity": lambda event, context: [context.identity.cognito_identity_id, repr(context.identity)],
    "identity's fields": lambda event, context: setattr(context.identity, "other", 1),
    "remaining": lambda event, context: 0 < context.get_remaining_time_in_millis() <= 5000,
    "remaining's type": lambda event, context: type(context.get_remaining_time_in_millis()).__name__,
    "trace fields": lambda event, context: context.w3c(),
    "another field": lambda event, context: context.nothing,
    "a field set": lambda event, context: setattr(context, "own", 1) or context.own,
    "trace": lambda event, context: os.environ["_X_AMZN_TRACE_ID"],
    "folder": lambda event, context: os.getcwd(),
    "first on the path": lambda event, context: sys.path[0],
    "limit": lambda event, context: sys.getrecursionlimit(),
}


def handler(event, context):
    return FOUND[event](event, context)
