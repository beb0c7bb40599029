# Continues the import check's definitions: this text is put in place of its last line, the call of `main`.
#
# Runs a handler under the Lambda Runtime API: with the `awslambdaric` that the artifact ships, or else with a loop that
# does what that client does. Modules that the runtime provides and nobody ships are stand-ins, as in the import check:
# they can be imported, and asked anything while modules are loaded. What a handler asks of them cannot be answered.


import socket


class NotInBase(Exception):
    """A handler called something that the runtime provides and that is neither in the artifact nor in the base."""


INVOKING = [False]


def run_function():
    request = json.loads(sys.argv[1])
    faulthandler.enable(2)
    without_semaphores()
    finder = StandIns(frozenset(request["runtime_modules"]))
    prepare(request, finder)
    guard_stand_ins(int(request["notes"]))
    handler = request["handler"]
    if importlib.machinery.PathFinder.find_spec("awslambdaric") is not None:
        run_client(handler, int(request["notes"]))
    else:
        run_loop(handler)


def guard_stand_ins(notes):
    """Let stand-ins be called while modules are loaded, and refuse and note it while an event is handled."""

    def refuse(path):
        if not INVOKING[0]:
            return
        place = importer() or "?"
        try:
            os.write(notes, ("%s\t%s\n" % (path.replace("\n", " "), place)).encode("utf-8", "replace")[:2000])
        except OSError:
            pass
        raise NotInBase("%s was called at %s: the Lambda runtime provides it, and the base does not have it" % (path, place))

    def call_class(cls, *args, **kwargs):
        # Stand-ins are made by the machinery when they are first asked for, which is no call.
        if "_kiln_path" in cls.__dict__ and sys._getframe(1).f_globals is not globals():
            refuse(cls.__dict__["_kiln_path"])
        return call_class.plain(cls, *args, **kwargs)

    def call_value(self, *args, **kwargs):
        path = type(self).__dict__.get("_kiln_path", "?")
        refuse(path)
        result = call_value.plain(self, *args, **kwargs)
        # What a call gives has a name, too: that of `boto3.client("s3").get_object` is better than a mere `get_object`.
        if type(result) is StandIn:
            StandIn_call = StandInClass("StandIn_call", (StandIn,), {"_kiln_path": path + "()"})
            return type.__call__(StandIn_call)
        return result

    call_class.plain, call_value.plain = StandInClass.__call__, StandIn.__call__
    StandInClass.__call__ = call_class
    StandIn.__call__ = call_value


def run_client(handler, notes):
    """`python -m awslambdaric HANDLER`, told when an event is handled."""
    import runpy

    try:
        import runtime_client
    except ImportError as error:
        # Its native part needs libraries of Lambda's that a small base may not have. What remains is its own Python.
        os.write(notes, ("awslambdaric.runtime_client\t%s\n" % error).encode("utf-8", "replace")[:2000])
        sys.modules["runtime_client"] = native_client()
    import awslambdaric.bootstrap as bootstrap

    plain = getattr(bootstrap, "handle_event_request", None)
    if plain is not None:

        def handle_event_request(*args, **kwargs):
            INVOKING[0] = True
            try:
                return plain(*args, **kwargs)
            finally:
                INVOKING[0] = False

        bootstrap.handle_event_request = handle_event_request
    sys.argv[:] = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=False)


def native_client():
    """A module with the functions of the client's native part."""
    api = Api(os.environ["AWS_LAMBDA_RUNTIME_API"])
    module = types.ModuleType("runtime_client")
    names = {
        name.lower(): name
        for name in (
            "Lambda-Runtime-Aws-Request-Id",
            "Lambda-Runtime-Trace-Id",
            "Lambda-Runtime-Invoked-Function-Arn",
            "Lambda-Runtime-Deadline-Ms",
            "Lambda-Runtime-Client-Context",
            "Lambda-Runtime-Cognito-Identity",
            "Lambda-Runtime-Aws-Tenant-Id",
            "Lambda-Runtime-Invocation-Id",
            "Content-Type",
        )
    }

    def next_event():
        body, headers = api.next()
        found = {names[name]: value for name, value in headers.items() if name in names}
        found["Lambda-Runtime-Deadline-Ms"] = int(found.get("Lambda-Runtime-Deadline-Ms") or 0)
        return body, found

    def post_invocation_result(identity, content, content_type="application/json", *rest):
        api.post("invocation/%s/response" % identity, content, None)

    def post_error(identity, document, *rest):
        kind = str(json.loads(document).get("errorType"))
        api.post("invocation/%s/error" % identity, document.encode("utf-8", "replace"), kind)

    module.initialize_client = lambda *rest: None
    module.next = next_event
    module.post_invocation_result = post_invocation_result
    module.post_error = post_error
    return module


def run_loop(handler):
    api = Api(os.environ["AWS_LAMBDA_RUNTIME_API"])
    sys.stdout, sys.stderr = Unbuffered(sys.stdout), Unbuffered(sys.stderr)
    set_up_logging()
    try:
        function = find_handler(handler)
    except Fault as fault:
        stop_at_init(api, fault.document())
    except Exception as error:
        stop_at_init(api, error_document(error))
    while True:
        handle(api, function, *api.next())


def handle(api, function, body, headers):
    identity = headers.get("lambda-runtime-aws-request-id", "")
    LOGGED["request"], LOGGED["tenant"] = identity, headers.get("lambda-runtime-aws-tenant-id")
    os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")
    problem = None
    INVOKING[0] = True
    try:
        event = unmarshal(body)
        # It lives until the event is done with, as do warnings about what becomes of it.
        value = function(event, LambdaContext(headers))
        answer = marshal(value)
    except Fault as fault:
        problem = fault.document(identity)
    except Exception as error:
        problem = error_document(error, identity)
    finally:
        INVOKING[0] = False
    # What cannot be written or sent ends the process from here on: nothing is left to tell it to.
    if problem is None:
        answer = answer if isinstance(answer, bytes) else answer.encode("utf-8")
        api.post("invocation/%s/response" % identity, answer, None)
    else:
        log_problem(problem)
        api.post("invocation/%s/error" % identity, encode(problem, ()).encode("utf-8"), problem["errorType"])


# What AWS's client does: the rules and texts of `awslambdaric.bootstrap` and `.lambda_runtime_marshaller`.


class Fault(Exception):
    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.text, self.trace = kind, message, list(trace)

    def document(self, identity=""):
        return {"errorMessage": self.text, "errorType": self.kind, "requestId": identity, "stackTrace": self.trace}


def find_handler(handler):
    module_name, dot, attribute = handler.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler,
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module %s as a handler module" % module_name,
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error)
        ) from None
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise Fault(
            "Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error), trace
        ) from None
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (attribute, module_name)
        ) from None


def stop_at_init(api, problem):
    log_problem(problem)
    api.post("init/error", encode(problem, ()).encode("utf-8", "replace"), problem["errorType"])
    sys.exit(1)


def error_document(error, identity=""):
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    # As bare tuples, frames are formatted without the marks that newer Pythons put below their lines.
    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(trace) if f.filename != __file__]
    # The client tells its own frames by this name, and any other file of it is taken for them.
    others = [number for number, frame in enumerate(frames) if "/bootstrap.py" not in frame[0]]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": identity,
        "stackTrace": traceback.format_list(frames[others[0] if others else 0 :]),
    }


def log_problem(problem):
    if LOGS_JSON:
        stamp = time.strftime(LOG_TIME, time.gmtime())
        line = encode(dict({"timestamp": stamp, "level": "ERROR"}, **problem), ())
    else:
        told = ": ".join(text for text in (problem["errorType"], problem["errorMessage"]) if text)
        lines = ["[ERROR] " + told if told else "[ERROR]", "Traceback (most recent call last):"]
        for element in problem["stackTrace"]:
            for text in element.splitlines() or [""]:
                bare = text.lstrip(" ")
                lines.append("\u00a0" * (len(text) - len(bare)) + bare)
        line = "\r".join(lines)
    sys.stdout.write(line + "\n")


LOGGED = {"request": "", "tenant": None}
LOGS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
LOG_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Unbuffered:
    """A stream whose writes arrive at once, under whatever name it is reached."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        self.stream.write(text)
        self.stream.flush()

    def writelines(self, lines):
        self.stream.writelines(lines)
        self.stream.flush()


def set_up_logging():
    """The root logger has a handler already, so that `logging.basicConfig` of the function does nothing, as in Lambda."""
    import logging

    class Filter(logging.Filter):
        def filter(self, record):
            record.aws_request_id, record.tenant_id = LOGGED["request"], LOGGED["tenant"]
            return True

    class LambdaLoggerHandler(logging.Handler):
        # To what is standard output when it writes; and a record that cannot be formatted is the function's error.
        def emit(self, record):
            sys.stdout.write(self.format(record))

    class LambdaLoggerHandlerWithFrameType(LambdaLoggerHandler):
        pass

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            return json_record(self, record)

    logging.Formatter.converter = time.gmtime
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
    level = "DEBUG" if level == "TRACE" else level.upper()
    handler = LambdaLoggerHandlerWithFrameType() if LOGS_JSON or level else LambdaLoggerHandler()
    if LOGS_JSON:
        handler.setFormatter(JsonFormatter(datefmt=LOG_TIME))
    else:
        form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(Filter())
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL", "NOTSET"):
        logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(handler)


def json_record(formatter, record):
    """A record of a logger in the JSON format of Lambda's logs. Its level becomes the standard one below it."""
    import logging

    record.levelno = min(50, max(0, record.levelno)) // 10 * 10
    record.levelname = logging.getLevelName(record.levelno)
    told = {
        "timestamp": formatter.formatTime(record, formatter.datefmt),
        "level": record.levelname,
        "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
        "logger": record.name,
        "stackTrace": None,
        "errorType": None,
        "errorMessage": None,
        "requestId": record.aws_request_id,
        "location": None,
    }
    if record.exc_info:
        kind, error, trace = record.exc_info
        told["stackTrace"] = traceback.format_tb(trace)
        told["errorType"], told["errorMessage"] = kind.__name__, str(error)
        told["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
    told["tenantId"] = record.tenant_id
    usual = set(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) - {"taskName"}
    usual |= {"aws_request_id", "tenant_id"}
    for name, value in record.__dict__.items():
        if name not in usual and name not in told:
            told[name] = value
    told = {name: value for name, value in told.items() if value is not None}
    return json.dumps(told, ensure_ascii=False, default=str) + "\n"


class CognitoIdentity:
    """Who called, where an application of Amazon Cognito did: nobody, here."""

    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]

    def __init__(self):
        self.cognito_identity_id = self.cognito_identity_pool_id = None

    def __repr__(self):
        return described(self, self.__slots__)


def described(value, names):
    return "%s([%s])" % (type(value).__name__, ",".join("%s=%s" % (name, getattr(value, name)) for name in names))


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        # The server of the check sends neither a client context nor an identity.
        self._w3c_fields = {}
        self.client_context = None
        self.identity = CognitoIdentity()
        self._epoch_deadline_time_in_ms = int(headers.get("lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self):
        return dict(self._w3c_fields)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        names = "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb function_version"
        return described(self, names.split() + "invoked_function_arn client_context identity tenant_id".split())


def unmarshal(body):
    try:
        return json.loads(body)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from None


def marshal(answer):
    if isinstance(answer, bytes):
        return answer
    try:
        return encode(answer, ())
    except RecursionError:
        text = "maximum recursion depth exceeded while calling a Python object"
        raise Fault("Runtime.MarshalError", "Unable to marshal response: " + text) from None
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from None


# The client of these runtimes writes characters as they are; everywhere else it writes escapes.
ASCII = os.environ.get("AWS_EXECUTION_ENV") not in tuple("AWS_Lambda_python3.%d" % minor for minor in range(12, 16))


def encode(value, inside):
    """JSON as the client's encoder writes it: with decimals, and with named tuples as objects."""
    if value is None or value is True or value is False or isinstance(value, float):
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=ASCII)
    if isinstance(value, bytes):
        return json.dumps(value.decode("utf-8"), ensure_ascii=ASCII)
    if isinstance(value, int):
        return int.__repr__(value)
    if any(value is outer for outer in inside):
        raise ValueError("Circular reference detected")
    inside = inside + (value,)
    # Of whatever type it is, but a list.
    if not isinstance(value, list) and callable(getattr(value, "_asdict", None)):
        value = value._asdict()
        if not isinstance(value, dict):
            raise TypeError("_asdict() must return a dict, not %s" % type(value).__name__)
    members = []
    if isinstance(value, dict):
        for key, member in value.items():
            members.append(json.dumps(key_of(key), ensure_ascii=ASCII) + ": " + encode(member, inside))
        return "{" + ", ".join(members) + "}"
    if isinstance(value, (list, tuple)):
        for member in value:
            members.append(encode(member, inside))
        return "[" + ", ".join(members) + "]"
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        return "NaN" if value.is_nan() else str(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def key_of(key):
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode("utf-8")
    if key is True or key is False or key is None or isinstance(key, float):
        return json.dumps(key)
    if isinstance(key, int):
        return int.__repr__(key)
    raise TypeError("keys must be str, int, float, bool or None, not %s" % type(key).__name__)


class Api:
    """The Runtime API's client. It has its own socket functions, whatever the function does to the module's."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self.connect = socket.create_connection

    def next(self):
        return self.ask("GET", "invocation/next", b"", [])

    def post(self, path, body, kind):
        headers = ["Content-Type: application/json"]
        if kind is not None:
            headers.append("Lambda-Runtime-Function-Error-Type: " + "".join(c for c in kind if " " <= c < "\x7f"))
        self.ask("POST", path, body, headers)

    def ask(self, method, path, body, headers):
        head = ["%s /2018-06-01/runtime/%s HTTP/1.1" % (method, path), "Host: %s:%d" % self.address]
        head += ["Connection: close", "Content-Length: %d" % len(body)] + headers
        connection = self.connect(self.address)
        try:
            connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body)
            stream = connection.makefile("rb")
            status = stream.readline(65536).split()
            found = {}
            for line in iter(lambda: stream.readline(65536).strip(), b""):
                name, _, value = line.decode("latin-1").partition(":")
                found[name.strip().lower()] = value.strip()
            answer = stream.read(int(found.get("content-length", "0")))
        finally:
            connection.close()
        if not status and path == "invocation/next":
            # There are no more events, and the environment is about to be ended: nothing that the function did.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        if len(status) < 2 or not status[1].startswith(b"2"):
            if path.endswith("/response"):
                # Too large, as a rule: the client ends with these words.
                raise RuntimeError("Failed to post invocation response")
            raise RuntimeError("the Runtime API answered %r to %s %s" % (status[1:2], method, path))
        return answer, found


run_function()
