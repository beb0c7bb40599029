"""Write the hashed requirements of the conformance test anew: python3 write_requirements.py

Reads `names.in` beside it, downloads the newest wheel of each name for the test's target with the pip of this Python and
the index that it is configured for, and writes `requirements.txt`: names, versions and hashes, and no URL.
"""

import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).parent
PLATFORMS = ["manylinux_2_%d_x86_64" % minor for minor in range(34, 4, -1)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]


def main():
    lines = (FOLDER / "names.in").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    target = ["--python-version", "3.13", "--implementation", "cp", "--abi", "cp313", "--abi", "abi3", "--abi", "none"]
    for platform in PLATFORMS:
        target += ["--platform", platform]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, *target, "--dest", folder, *names], check=True)
        wheels = []
        for wheel in sorted(pathlib.Path(folder).iterdir()):
            name, version = wheel.name.split("-")[:2]
            name = re.sub(r"[-_.]+", "-", name).lower()
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            wheels.append((name, version, digest))
    text = "# Written by write_requirements.py from names.in.\n"
    for name, version, digest in sorted(wheels):
        text += "%s==%s \\\n    --hash=sha256:%s\n" % (name, version, digest)
    (FOLDER / "requirements.txt").write_text(text)


main()
