"""Describes the interpreter that runs it, as one JSON document on standard output.

Run inside a base image as `python3 -I -c <this text>`. Standard library only, Python 3.9 and later. It reads; it
changes nothing and needs no network.
"""

import errno
import glob
import importlib.machinery
import importlib.metadata
import json
import os
import platform
import re
import sys
import sysconfig


def markers():
    """The variables of environment markers (packaging specification, "environment markers")."""

    def full(info):
        text = "{0.major}.{0.minor}.{0.micro}".format(info)
        if info.releaselevel != "final":
            text += info.releaselevel[0] + str(info.serial)
        return text

    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": full(sys.implementation.version),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def glibc():
    """Major and minor version of the C library, or None where it is not glibc."""
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        text = ""
    match = re.match(r"glibc (\d+)\.(\d+)", text)
    return [int(match.group(1)), int(match.group(2))] if match else None


def standard_library():
    """Top-level module names of the standard library."""
    names = getattr(sys, "stdlib_module_names", None)
    if names is None:
        # Python 3.9 does not carry the list: read it off the folders.
        names = set(sys.builtin_module_names)
        folder = sysconfig.get_path("stdlib")
        for place in (folder, os.path.join(folder, "lib-dynload")):
            for entry in os.listdir(place) if os.path.isdir(place) else []:
                name = entry.split(".", 1)[0]
                if name.isidentifier() and "packages" not in entry:
                    if entry.endswith((".py", ".so")) or os.path.isdir(os.path.join(place, entry)):
                        names.add(name)
    return sorted(names)


def distributions():
    """Name and version of every installed distribution."""
    found = set()
    for distribution in importlib.metadata.distributions():
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except Exception:
            continue
        if name and version:
            found.add((str(name), str(version)))
    return sorted(found)


def bundled_pip():
    """Path of a pip wheel that the system carries, or None."""
    places = ["/usr/share/python-wheels", sysconfig.get_config_var("WHEEL_PKG_DIR") or ""]
    try:
        import ensurepip

        places.append(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
    except Exception:
        pass
    for place in places:
        found = sorted(glob.glob(os.path.join(place, "pip-*.whl"))) if place else []
        if found:
            return found[-1]
    return None


def pip_version():
    try:
        import pip

        return str(pip.__version__)
    except Exception:
        return None


def index():
    """The package index that pip is configured for: its files and environment, else its own default."""
    try:
        from pip._internal.configuration import Configuration

        configuration = Configuration(isolated=False)
        configuration.load()
        values = dict(configuration.items())
        # Newer releases of pip keep the values of one file in a mapping of their own.
        for value in list(values.values()):
            if isinstance(value, dict):
                values.update(value)
        # The order in which pip lets one source override another.
        for key in (":env:.index-url", "install.index-url", "global.index-url"):
            if isinstance(values.get(key), str):
                return values[key]
    except Exception:
        configured = configured_index()
        if configured:
            return configured
    try:
        from pip._internal.models.index import PyPI

        return str(PyPI.simple_url)
    except Exception:
        return configured_index()


def configured_index():
    """The index in pip's settings, for a base without pip."""
    import configparser

    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    home = os.path.expanduser("~")
    files = [os.path.join(d, "pip", "pip.conf") for d in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files += ["/etc/pip.conf", os.path.join(home, ".pip", "pip.conf")]
    files += [os.path.join(os.environ.get("XDG_CONFIG_HOME", os.path.join(home, ".config")), "pip", "pip.conf")]
    files += [os.path.join(sys.prefix, "pip.conf"), os.environ.get("PIP_CONFIG_FILE", "")]
    found = {}
    for file in filter(None, files):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeError):
            continue
        for section in ("global", "install"):
            for key in ("index-url", "index_url"):
                if parser.has_option(section, key):
                    found[section] = parser.get(section, key)
    return found.get("install", found.get("global"))


def tags(libc):
    """Wheel tags that this interpreter loads, best first: by pip's own rules if pip is there, else by ours."""
    for module in ("pip._vendor.packaging.tags", "packaging.tags"):
        try:
            found = [str(tag) for tag in importlib.import_module(module).sys_tags()]
        except Exception:
            continue
        if found:
            return found
    return own_tags(libc)


def own_tags(libc):
    """The order of `packaging.tags.sys_tags` for CPython on Linux."""
    minor = sys.version_info[1]
    python = "cp3%d" % minor
    threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    debug = "d" if sysconfig.get_config_var("Py_DEBUG") else ""
    machine = platform.machine()
    if sys.maxsize <= 2**32:
        machine = {"x86_64": "i686", "aarch64": "armv7l"}.get(machine, machine)
    platforms = []
    if libc and libc[0] == 2:
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        oldest = 5 if machine in ("x86_64", "i686") else 17
        for version in range(libc[1], oldest - 1, -1):
            platforms.append("manylinux_2_%d_%s" % (version, machine))
            if version in legacy:
                platforms.append("%s_%s" % (legacy[version], machine))
    platforms.append("linux_" + machine)

    found = []
    found += ["%s-%s%s%s-%s" % (python, python, threads, debug, p) for p in platforms]
    if not threads:
        found += ["%s-abi3-%s" % (python, p) for p in platforms]
    found += ["%s-none-%s" % (python, p) for p in platforms]
    if not threads:
        found += ["cp3%d-abi3-%s" % (m, p) for m in range(minor - 1, 1, -1) for p in platforms]
    generic = ["py3%d" % minor, "py3"] + ["py3%d" % m for m in range(minor - 1, -1, -1)]
    found += ["%s-none-%s" % (g, p) for g in generic for p in platforms]
    found += ["%s-none-any" % python]
    found += ["%s-none-any" % g for g in generic]
    return found


def main():
    pip_wheel = bundled_pip()
    installed = distributions()
    version = pip_version()
    if version is None and pip_wheel:
        # A pip that is not installed can be used from its wheel.
        sys.path.append(pip_wheel)
        version = pip_version()
    libc = glibc()
    document = {
        "version": platform.python_version(),
        "markers": markers(),
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "extension_suffixes": list(importlib.machinery.EXTENSION_SUFFIXES),
        "tags": tags(libc),
        "stdlib": standard_library(),
        "builtins": sorted(sys.builtin_module_names),
        "distributions": installed,
        "glibc": libc,
        "pip": version,
        "pip_wheel": pip_wheel,
        "index": index(),
        "machine": platform.machine(),
    }
    # Where the root is gone meanwhile, so is much of what was looked for.
    try:
        # What was seen before may be remembered; a name that nobody has asked for is not.
        os.stat("%s.%d" % (sys.executable, os.getpid()))
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOTCONN, errno.ESTALE):
            raise
    sys.stdout.write(json.dumps(document, sort_keys=True) + "\n")


main()
