"""Run handlers under AWS's client and under kiln's loop, and tell in what they differ.

Run in the base as `python3 compare.py REQUEST`, where REQUEST is JSON: `server` and `loop` are kiln's two programs of the smoke
check, `client` the folder that AWS's client is installed in, `task` that of the handlers beside this file. Standard output is one
JSON document: how many events were compared, and a line for each difference.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys

# A base has no bytecode, and hundreds of processes import the same modules.
PYTHON = [sys.executable, "-X", "pycache_prefix=/tmp/bytecode"]
MARKER = "KILN-SMOKE-REPORT "
ARN = "arn:aws:lambda:us-east-1:123456789012:function:app"
LAMBDA = {
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "app",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/app",
    "AWS_LAMBDA_LOG_STREAM_NAME": "1970/01/01/[$LATEST]0",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "TZ": ":UTC",
}
# Forms of a handler's name, and of what it names.
NAMES = """
forms.warm forms.one forms.many forms.coroutine forms.generator forms.partial forms.short forms.builtin forms.number forms.text
forms.Made forms.Listed forms.called forms.bound forms.cached forms.made_when_asked forms.fails_when_asked forms.absent
forms.Called.static forms.Called forms.__doc__ forms.warm.__call__
my-func.handler 1st.handler nested/folder/mod.handler nested.folder.mod.handler nested/folder.mod.handler
nested/folder/class.handler dash-ed/2nd-file.handler dash-ed.2nd-file.handler größe.handler pack.handler pack/inner.name
pack/inner/too_high.handler pack.__init__.handler
absent.handler nested/absent.handler nested.handler forms/warm.handler handler .handler forms. . .. /forms.warm forms/.warm
//forms.warm ../forms.warm ./forms.warm forms..warm nested//folder/mod.handler FORMS.warm forms.py.warm forms.warm() forms:warm
sys.exit time.time builtins.print _io.open json.dumps os.path.join os/path.join
load_raises.handler load_import.handler load_import_deeper.handler load_import_name.handler load_import_error.handler
load_syntax.handler load_indent.handler load_syntax_deeper.handler load_null.handler load_encoding.handler
load_not_utf8.handler load_exit.handler load_exit_nothing.handler load_exit_text.handler load_hard_exit.handler
load_interrupt.handler load_base.handler load_circular.handler load_recursion.handler load_no_text.handler
load_prints.handler load_killed.handler load_accents.handler loaded.handler
""".split() + ["with space.handler", ""]
ECHOED = ["null", "0", "-1.5", "1e400", "1E5", "12345678901234567890123", '"ü"', '"\\ud800"', '"\\u00e9\\/"', "[]", '{"b": 1, "a": [2]}',
    '{"a": 1, "a": 2}', " \n{}\t", "0.1000000000000000055511151231257827", "true", '""', '{"": {}}']


# The client sends an error of init as Latin-1: with characters beyond ASCII it is no JSON when it arrives, and with others it is not
# sent, and the client ends with a trace of its own. kiln's loop reports it as any other. The environment's fact `init-error` says so.
OTHERWISE = {"load_not_utf8.handler", "load_accents.handler"}


def main():
    request = json.loads(sys.argv[1])
    runs = []

    def add(handler, events, **variables):
        runs.append((handler, events, variables))

    sys.path.insert(0, request["task"])
    import answers, contexts, errors, logs

    for name in NAMES:
        add(name, ["{}", "{}"])
    add("answers.echo", ECHOED)
    add("answers.kind", ECHOED)
    add("contexts.handler", [json.dumps(name) for name in contexts.FOUND])
    add("answers.handler", [json.dumps(name) for name in answers.VALUES])
    escaped = [name for name in answers.VALUES if "scripts" in name or "surrogate" in name or "quotes" in name]
    for runtime in ("AWS_Lambda_python3.11", "AWS_Lambda_python3.14", ""):
        add("answers.handler", [json.dumps(name) for name in escaped], AWS_EXECUTION_ENV=runtime)
    for variables in ({}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}):
        add("errors.handler", [json.dumps(name) for name in errors.ERRORS], **variables)
    for form, level in (("", ""), ("Text", "DEBUG"), ("JSON", ""), ("json", "INFO"), ("JSON", "trace"), ("Text", "ERROR"), ("", "odd")):
        variables = {"AWS_LAMBDA_LOG_FORMAT": form, "AWS_LAMBDA_LOG_LEVEL": level}
        add("logs.handler", [json.dumps(name) for name in logs.ACTIONS], **variables)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        compared = list(pool.map(lambda item: compare(request, item[0], *item[1]), enumerate(runs)))
    differences = [line for (_, lines), run in zip(compared, runs) for line in lines if run[0] not in OTHERWISE]
    stale = [run[0] for (_, lines), run in zip(compared, runs) if run[0] in OTHERWISE and not lines]
    differences += ["%s: there is no difference any more" % handler for handler in stale]
    handlers = len({handler for handler, _, _ in runs})
    told = {"handlers": handlers, "events": sum(count for count, _ in compared), "differences": differences}
    print(json.dumps(told), flush=True)


def compare(request, number, handler, events, variables):
    """How many events were compared, and the differences."""
    folder = "/tmp/events/%d" % number
    os.makedirs(folder)
    asked = []
    for index, event in enumerate(events):
        with open("%s/%d" % (folder, index), "w") as file:
            file.write(event)
        asked.append({"name": event, "file": file.name, "cold": False})
    # As in Lambda the program's folder, which an interpreter remembers, is not the function's.
    client = [*PYTHON, "-P", "-m", "awslambdaric", handler]
    function = {"handler": handler, "task_root": request["task"], "layer_paths": [], "runtime_modules": [], "notes": "{notes}"}
    loop = [*PYTHON, "-I", "-S", "-u", request["loop"], json.dumps(function)]
    theirs, ours = (reported(request, argv, asked, variables) for argv in (client, loop))
    lines = []
    if len(theirs) != len(ours):
        lines.append("%s %s: %d events with the client, %d with kiln's loop" % (handler, variables, len(theirs), len(ours)))
    for event, their, our in zip(events, theirs, ours):
        for field in sorted(their):
            if their[field] != our[field]:
                told = (handler, variables, event, field, their[field], our[field])
                lines.append("%s %s on %s: %s is %.1500r with the client, %.1500r with kiln's loop" % told)
    return min(len(theirs), len(ours)), lines


def reported(request, argv, events, variables):
    """What kiln's server reports of a program, without what differs from run to run."""
    asked = {
        "argv": argv,
        "working_dir": request["task"],
        "arn": ARN,
        "answer_bytes": 6 * 1024 * 1024 + 100,
        "init_seconds": 20,
        "seconds": 5,
        "user": None,
        # kiln's loop is isolated from this variable, and sets the path itself.
        "environment": dict(LAMBDA, PYTHONPATH=request["task"] + ":" + request["client"], **variables),
        "events": events,
    }
    with open(request["server"]) as file:
        command = [*PYTHON, "-I", "-S", "-c", file.read(), json.dumps(asked)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=LAMBDA)
    lines = [line for line in ran.stdout.decode().splitlines() if line.startswith(MARKER)]
    if len(lines) != 1:
        raise RuntimeError("the server reported nothing: %s" % ran.stderr.decode("utf-8", "replace")[-2000:])
    return [what_is_promised(event) for event in json.loads(lines[0][len(MARKER) :])["events"]]


def what_is_promised(event):
    told = {name: event[name] for name in ("outcome", "answer", "error", "exit", "cold")}
    told["log"] = without_runtime(event["log"])
    if told["error"] is not None:
        told["error"]["trace"] = without_runtime(told["error"]["trace"])
    return told


# Where the runtime's own code stands in a trace.
RUNTIME = re.compile(r'\s*File "(/check/|/client/|<frozen runpy>)')
# What a client of AWS's says on its own account whenever it cannot load a function: advice, the same for all.
ADVICE = "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code."
# What either ends with when its answer is refused, after frames of its own.
REFUSED = "RuntimeError: Failed to post invocation response"
# Told where the value is collected, in the name of the runtime's own code.
COLLECTED = "was never awaited"


def without_runtime(lines):
    """Log lines and frames without those of the runtime itself, without times, and without addresses of objects."""
    kept, skipping, collected = [], False, False
    for line in lines:
        line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", line)
        line = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", line)
        # The runtime's own frames count, and the two have not the same number.
        line = re.sub(r"repeated \d+ more times", "repeated MORE times", line)
        if RUNTIME.match(line):
            skipping = True
        elif not (
            skipping and line.startswith(("    ", "\u00a0" * 4))
            or collected and line.startswith("  ")
            or ADVICE in line
            or COLLECTED in line
            or "Enable tracemalloc" in line
        ):
            skipping = False
            if line == REFUSED and kept and kept[-1].startswith("Traceback "):
                kept.pop()
            kept.append(line)
        collected = COLLECTED in line
    return kept


if __name__ == "__main__":
    main()
