"""Build the wheel of a source distribution by asking its build backend (PEP 517).

Run by kiln inside a base image as `python3 -I -S -B -c <supervisor.py and this text> <request as JSON>`, on Python 3.9 or later,
with the standard library alone. The build is a process of another user, started as `python3 -S -s` with what the lock of build
requirements brings; there is no network. The wheel goes to `out`; whatever the backend prints goes to standard error. Standard
output is one line that starts with MARKER and carries a report.
"""

import importlib
import json
import os
import re
import shutil
import site
import sys
import traceback

MARKER = "KILN-SDIST-REPORT "
# A build is ended from outside where it takes too long.
SECONDS = 24 * 3600


def main():
    request = json.loads(sys.argv[1])
    if "judged" in request:
        judged(request)
    share_errors()
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    script = words[words.index(b"-c") + 1]
    words = [sys.executable, "-S", "-s", "-c", script, json.dumps(dict(request, judged=True))]
    ended = apart(lambda: os.execv(sys.executable, words), request["user"], SECONDS)
    if ended.tampered:
        report = {"tampered": ended.why}
    elif ended.answer is None:
        os._exit(1 if ended.code is None else ended.code)
    else:
        report = ended.answer.decode("utf-8", "replace")
    see_root()
    # What was answered is read outside, as a text.
    print("\n" + MARKER + json.dumps({"answer": report} if type(report) is str else report), flush=True)


def judged(request):
    process, dumps = os.getpid(), json.dumps
    os.set_inheritable(ANSWER, False)
    os.umask(0o022)
    for name in ("HOME", "TMPDIR"):
        os.makedirs(os.environ[name], exist_ok=True)
    offer_python(request["commands"])
    copy(request["source"], request["work"], request["reverse"])
    set_times(request["work"], request["epoch"])
    os.chdir(request["work"])
    sys.argv[:] = ["setup.py"]
    sys.path[:] = [entry for entry in sys.path if entry and os.path.isabs(entry)]
    # Not only a place on the path: setuptools hooks itself in with a .pth file.
    if os.path.isdir(request["requirements"]):
        site.addsitedir(request["requirements"])
    report = {"requires": [], "missing": [], "wheel": None}
    try:
        build(request, report)
    except BaseException as error:
        traceback.print_exception(type(error), error, error.__traceback__)
        sys.stderr.flush()
        os._exit(1)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
    reply(dumps(report).encode("ascii"), 0, process)


def offer_python(folder):
    """`python3` on the path, for scripts of build requirements and for builds that start one; a base need not have it."""
    os.makedirs(folder, exist_ok=True)
    for name in ("python", "python3"):
        path = os.path.join(folder, name)
        if not os.path.lexists(path):
            os.symlink(sys.executable, path)


def copy(source, target, reverse):
    """The tree, writable, its entries made in one order or the other: that is the order in which they are listed."""
    os.makedirs(target, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name, reverse=reverse):
        path = os.path.join(target, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), path)
        elif entry.is_dir():
            copy(entry.path, path, reverse)
        else:
            shutil.copyfile(entry.path, path)
            os.chmod(path, 0o755 if entry.stat().st_mode & 0o111 else 0o644)


def set_times(root, epoch):
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(os.path.join(folder, name), (epoch, epoch), follow_symlinks=False)
        os.utime(folder, (epoch, epoch))


def build(request, report):
    for path in reversed(request["backend_path"]):
        inside = os.path.realpath(os.path.join(request["work"], path))
        if os.path.commonpath([inside, os.path.realpath(request["work"])]) != os.path.realpath(request["work"]):
            raise ValueError("backend-path leads out of the source: " + path)
        sys.path.insert(0, inside)
    module, _, attribute = request["backend"].partition(":")
    backend = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        backend = getattr(backend, part)
    ask = getattr(backend, "get_requires_for_build_wheel", None)
    if ask is not None:
        os.chdir(request["work"])
        report["requires"] = [str(requirement) for requirement in ask(None)]
    report["missing"] = [line for line in report["requires"] if name_of(line) not in request["locked"]]
    if report["missing"]:
        return
    os.chdir(request["work"])
    report["wheel"] = os.path.basename(backend.build_wheel(request["out"], None, None))


def name_of(requirement):
    name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", name.group(1)).lower().strip("-") if name else requirement


main()
