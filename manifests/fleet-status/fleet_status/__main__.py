"""Serve until interrupted."""

import os
import pathlib

from fleet_status.server import serve
from fleet_status.state import State

if __name__ == "__main__":
    folder = pathlib.Path(os.environ.get("FLEET_STATE", "/var/lib/fleet-status"))
    try:
        serve(State(folder / "state.json"), int(os.environ.get("PORT", "8080")))
    except KeyboardInterrupt:
        pass
