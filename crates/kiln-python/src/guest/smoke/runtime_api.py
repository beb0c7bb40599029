"""Serve the Lambda Runtime API on the loopback interface, run a function under it, and report what became of its events.

Run by kiln inside a base image as `python3 -I -S -B -c <supervisor.py and this text> <request as JSON>`, on Python 3.9 or later,
with the standard library alone. The function is any program that speaks the Runtime API (2018-06-01): it is started with
AWS_LAMBDA_RUNTIME_API in its environment, and its events are files. It runs as another user than this program, which it can
neither signal nor trace, and has no way to standard output: that is one line with the report as JSON. What the function prints
goes to standard error.
"""

import collections
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

MARKER = "KILN-SMOKE-REPORT "
# Bounds of the report: the function decides how much it says.
LINES, LINE, TEXT, STAND_INS = 40, 400, 4000, 40
# What is passed on of the function's output; more would only fill the terminal.
PASSED_ON = 1 << 20
PREFIX = "/2018-06-01/runtime/"
# How long a function may take after an answer until it asks for the next event, and its output until it is read, in seconds.
SETTLES = 2
# What is read of the function's notes at a time.
NOTES = 1 << 18


def main():
    request = json.loads(sys.argv[1])
    share_errors()
    # A sweep forks; its process does nothing but end others.
    warnings.simplefilter("ignore", DeprecationWarning)
    sandbox = Sandbox(request)
    results = []
    for number, event in enumerate(request["events"], 1):
        with open(event["file"], "rb") as file:
            body = file.read()
        results.append(sandbox.invoke(number, event, body))
        if results[-1]["outcome"].startswith(("init-", "not-")):
            # It would fail the same way for every other event.
            break
    sandbox.end()
    report = {"events": results}
    see_root()
    sys.stdout.flush()
    print("\n" + MARKER + json.dumps(report), flush=True)
    # The engine is asked whether memory ran out only about runs that failed.
    killed = any(result["exit"] == -signal.SIGKILL for result in results)
    os._exit(3 if killed else 0)


class Sandbox:
    """One function as Lambda runs it: a process that stays for the events that follow, and is replaced when it ends."""

    def __init__(self, request):
        self.request = request
        self.changed = threading.Condition()
        self.process = None
        self.reader = None
        # What the function prints to, and who may read from it.
        self.lines, self.reading = None, threading.Lock()
        # Which process a waiting connection belongs to: one of a process that is gone gets nothing.
        self.generation = 0
        self.asked = False
        self.waiting = None
        self.current = None
        self.outcome = None
        self.started = self.sent = self.ended = 0.0
        self.log = collections.deque(maxlen=LINES)
        self.passed_on = 0
        self.notes = None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def invoke(self, number, event, body):
        """Give one event to the function and wait for what it makes of it."""
        self.log.clear()
        self.take_notes()
        result = {
            "name": event["name"],
            "outcome": "answered",
            "answer": None,
            "error": None,
            "exit": None,
            "cold": False,
            "init_ms": None,
            "invoke_ms": None,
            "peak_kib": None,
        }
        if event["cold"] or self.process is None or self.process.poll() is not None:
            self.end()
            result["cold"] = True
            self.start(result)
        if result["outcome"] == "answered":
            self.hand_over(number, body, result)
        self.drain()
        result["log"] = list(self.log)
        result["stand_ins"] = self.take_notes()
        if result["outcome"] not in ("answered", "failed"):
            self.end()
        return result

    def start(self, result):
        """Start the process and wait until it asks for its first event, which is the end of Lambda's init phase."""
        environment = dict(os.environ, **self.request["environment"])
        if "HOME" not in self.request["environment"]:
            # Every engine sets one, and Lambda does not.
            environment.pop("HOME", None)
        environment["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:%d" % self.server.server_port
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.notes = read
        lines, output = os.pipe()
        # It may open its own output by path, as /dev/stdout.
        os.fchmod(output, 0o666)
        argv = [word.replace("{notes}", str(write)) for word in self.request["argv"]]
        user = self.request["user"]
        as_user = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
        with self.changed:
            self.asked, self.waiting, self.current, self.outcome = False, None, None, None
        self.started = time.monotonic()
        # Whoever used up the memory goes first: not this process, which has to tell.
        prefer_to_end("1000")
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.request["working_dir"],
                pass_fds=(write,),
                start_new_session=True,
                **as_user,
            )
        except OSError as error:
            self.process = None
            os.close(lines)
            result["outcome"] = "not-started"
            result["error"] = {"type": type(error).__name__, "message": str(error)[:TEXT], "trace": []}
            return
        finally:
            prefer_to_end("0")
            os.close(write)
            os.close(output)
        self.lines = lines
        self.reader = threading.Thread(target=self.read, args=(lines,), daemon=True)
        self.reader.start()
        what = self.wait(self.request["init_seconds"], lambda: self.asked or self.outcome is not None)
        if what == "changed" and self.outcome is None:
            result["init_ms"] = milliseconds(self.ended - self.started)
        elif what == "changed":
            result["outcome"], result["error"] = "init-failed", self.outcome[1]
        else:
            result["outcome"] = "init-" + what
            result["exit"] = self.process.poll()

    def hand_over(self, number, body, result):
        with self.changed:
            identity = "00000000-0000-4000-8000-%012d" % number
            self.asked, self.current, self.outcome, self.waiting = False, identity, None, (identity, body)
            self.sent = time.monotonic()
            self.changed.notify_all()
        what = self.wait(self.request["seconds"], lambda: self.outcome is not None)
        if what != "changed":
            result["outcome"] = what
            result["exit"] = self.process.poll()
            if what == "timeout":
                result["peak_kib"] = peak(self.process.pid)
            return
        result["invoke_ms"] = milliseconds(self.ended - self.sent)
        result["peak_kib"] = peak(self.process.pid)
        kind, value = self.outcome
        if kind == "answer":
            result["answer"] = value
        else:
            result["outcome"], result["error"] = "failed", value
        # It is done with the event when it asks for another: until then it may print, or end.
        self.wait(SETTLES, lambda: self.asked)

    def wait(self, seconds, condition):
        """`changed` when the condition holds, `exited` if the process ended before, `timeout` otherwise."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                if condition():
                    return "changed"
                if self.process.poll() is not None:
                    # What it sent before its end may still be read by a thread of the server.
                    if self.changed.wait_for(condition, 0.2):
                        return "changed"
                    return "exited"
                left = deadline - time.monotonic()
                if left <= 0:
                    return "timeout"
                self.changed.wait(min(left, 0.02))

    def end(self):
        """Kill the process with all that it started."""
        with self.changed:
            self.generation += 1
            self.waiting = self.current = None
            self.changed.notify_all()
        if self.process is not None:
            # Not only its own: what it left behind must not answer for the next one.
            if self.process.poll() is None or self.request["user"] is not None:
                swept, _ = sweep(self.request["user"], (), self.process.pid)
                if not swept:
                    raise RuntimeError("the function leaves processes behind that cannot be ended")
            self.process.wait()
            self.reader.join(1.0)
            self.process = None
        if self.notes is not None:
            os.close(self.notes)
            self.notes = None

    def read(self, lines):
        """Take what the function prints, line by line, until nobody can print any more."""
        chunk, rest = b"-", b""
        while chunk:
            select.select([lines], [], [])
            with self.reading:
                chunk = os.read(lines, 1 << 16)
                *whole, rest = (rest + chunk).split(b"\n")
                if rest and (not chunk or len(rest) >= 1 << 16):
                    whole, rest = whole + [rest], b""
                for line in whole:
                    text = line.decode("utf-8", "replace").replace("\r", "\n")
                    self.log.extend(part[:LINE] for part in text.split("\n") if part.strip())
                if self.passed_on < PASSED_ON:
                    self.passed_on += len(chunk)
                    if self.passed_on >= PASSED_ON:
                        chunk += b"\n(what it prints beyond %d bytes is not passed on)\n" % self.passed_on
                    sys.stderr.buffer.write(chunk)
                    sys.stderr.buffer.flush()
                if not chunk:
                    self.lines = None if self.lines == lines else self.lines
                    os.close(lines)

    def drain(self):
        """Wait until what the function has printed is read."""
        until = time.monotonic() + SETTLES
        while time.monotonic() < until:
            with self.reading:
                if self.lines is None or not select.select([self.lines], [], [], 0)[0]:
                    return
            time.sleep(0.001)

    def take_notes(self):
        """What the function's side noted of modules that the base does not have."""
        data = b""
        while self.notes is not None and len(data) < NOTES:
            try:
                chunk = os.read(self.notes, 65536)
            except OSError:
                break
            if not chunk:
                break
            data += chunk
        found = []
        for line in data.decode("utf-8", "replace").splitlines():
            asked, _, place = line.partition("\t")
            note = {"asked": asked[:LINE], "at": place[:LINE]}
            if note not in found:
                found.append(note)
        return found[:STAND_INS]


def handler_of(sandbox):
    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def answer(self, code, body=b"", headers=()):
            self.send_response(code)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            if not any(name == "Content-Type" for name, _ in headers):
                self.send_header("Content-Type", "application/json")
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def refuse(self, code, kind, message):
            self.answer(code, json.dumps({"errorMessage": message, "errorType": kind}).encode())

        def do_GET(self):
            if self.path != PREFIX + "invocation/next":
                # SnapStart's restore is not emulated: the initialization type says `on-demand`.
                self.refuse(404, "NotFound", "there is no " + self.path)
                return
            with sandbox.changed:
                generation = sandbox.generation
                sandbox.asked = True
                sandbox.ended = time.monotonic()
                sandbox.changed.notify_all()
                sandbox.changed.wait_for(
                    lambda: sandbox.waiting is not None or sandbox.generation != generation
                )
                if sandbox.generation != generation:
                    self.close_connection = True
                    return
                identity, body = sandbox.waiting
                sandbox.waiting = None
            deadline = int((time.time() + sandbox.request["seconds"]) * 1000)
            self.answer(
                200,
                body,
                [
                    ("Content-Type", "application/json"),
                    ("Lambda-Runtime-Aws-Request-Id", identity),
                    ("Lambda-Runtime-Deadline-Ms", str(deadline)),
                    ("Lambda-Runtime-Invoked-Function-Arn", sandbox.request["arn"]),
                    (
                        "Lambda-Runtime-Trace-Id",
                        "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0",
                    ),
                ],
            )

        def do_POST(self):
            # The standard library reads no chunked bodies, and Lambda's clients use them for streams.
            if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                body = self.chunks()
            else:
                body = self.part(int(self.headers.get("Content-Length") or 0), sandbox.request["answer_bytes"] + 1)
            parts = self.path[len(PREFIX):].split("/") if self.path.startswith(PREFIX) else []
            if parts == ["init", "error"]:
                outcome = ("error", self.error(body))
            elif len(parts) == 3 and parts[0] == "invocation" and parts[2] in ("response", "error"):
                if parts[1] != sandbox.current:
                    self.refuse(400, "InvalidRequestID", "no invocation %s is under way" % parts[1])
                    return
                if parts[2] == "error":
                    outcome = ("error", self.error(body))
                elif self.headers.get("Lambda-Runtime-Function-Error-Type"):
                    outcome = ("error", self.error(body))
                elif len(body) > sandbox.request["answer_bytes"]:
                    message = "Response payload size exceeded maximum allowed payload size (%d bytes)."
                    message %= sandbox.request["answer_bytes"]
                    kind = "Function.ResponseSizeTooLarge"
                    if self.concluded(("error", {"type": kind, "message": message, "trace": []})):
                        self.refuse(413, "RequestEntityTooLarge", message)
                    return
                else:
                    outcome = ("answer", body.decode("utf-8", "replace"))
            else:
                self.refuse(404, "NotFound", "there is no " + self.path)
                return
            if self.concluded(outcome):
                self.answer(202, b'{"status":"OK"}\n')

        def concluded(self, outcome):
            """Take the first answer of an event; there is no second one."""
            with sandbox.changed:
                first = sandbox.outcome is None
                if first:
                    sandbox.outcome, sandbox.ended = outcome, time.monotonic()
                    sandbox.changed.notify_all()
            if not first:
                self.refuse(400, "InvalidStateTransition", "this invocation has been answered")
            return first

        def part(self, size, keep):
            """As many bytes of a body, of which so many are kept: no function decides how much memory that takes."""
            kept = b""
            while size > 0:
                data = self.rfile.read(min(size, 1 << 16))
                if not data:
                    break
                size -= len(data)
                kept += data[: max(0, keep - len(kept))]
            return kept

        def chunks(self):
            body = b""
            while True:
                size = int(self.rfile.readline(1024).split(b";")[0].strip() or b"0", 16)
                if size <= 0:
                    while self.rfile.readline(65536).strip():
                        pass
                    return body
                body += self.part(size, sandbox.request["answer_bytes"] + 1 - len(body))
                self.rfile.readline(1024)

        def error(self, body):
            """What the runtime client tells of an error, as bounded text."""
            kind = self.headers.get("Lambda-Runtime-Function-Error-Type") or "Unknown"
            message, trace, document = "", [], None
            try:
                document = json.loads(body)
            except ValueError:
                message = body.decode("utf-8", "replace")
            if isinstance(document, dict):
                kind = str(document.get("errorType") or kind)
                message = str(document.get("errorMessage") or "")
                frames = document.get("stackTrace")
                for frame in frames if isinstance(frames, list) else []:
                    trace.extend(line for line in str(frame).splitlines() if line.strip())
            return {"type": kind[:LINE], "message": message[:TEXT], "trace": [line[:LINE] for line in trace[-LINES:]]}

    return Api


def milliseconds(seconds):
    return round(seconds * 1000, 1)


def peak(process):
    """The most memory that a process had at a time, in KiB."""
    try:
        with open("/proc/%d/status" % process) as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


main()
