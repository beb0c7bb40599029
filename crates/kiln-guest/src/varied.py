"""Runs a program under another umask, with its inputs in folders of another order.

Called with a JSON object {"umask": octal or null, "folders": [[from, to], ...]}, and the program with its arguments.
"""

import json
import os
import shutil
import sys

asked = json.loads(sys.argv[1])
for source, target in asked["folders"]:
    made = []
    for folder, folders, files in os.walk(source):
        folders.sort(reverse=True)
        inside = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(inside, exist_ok=True)
        made.append((folder, inside))
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted(files + links, reverse=True):
            shutil.copy2(os.path.join(folder, name), os.path.join(inside, name), follow_symlinks=False)
    for folder, inside in reversed(made):
        shutil.copystat(folder, inside)
if asked["umask"] is not None:
    os.umask(int(asked["umask"], 8))
os.execvp(sys.argv[2], sys.argv[2:])
