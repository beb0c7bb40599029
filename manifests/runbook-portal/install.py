"""Runs the pip that Debian ships as a wheel for virtual environments."""

import glob
import runpy
import sys

wheels = glob.glob("/usr/share/python-wheels/pip-*.whl")
if len(wheels) != 1:
    raise SystemExit(f"one pip is expected in the base, not {wheels}")
sys.path.insert(0, wheels[0])
sys.argv = ["pip", "install", *sys.argv[1:]]
runpy.run_module("pip", run_name="__main__")
