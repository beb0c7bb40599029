"""What is known of the fleet, kept in a file."""

import json
import os
import pathlib
import threading


class State:
    """The last report of each device."""

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file
        self.lock = threading.Lock()
        self.reports: dict[str, object] = json.loads(file.read_text()) if file.exists() else {}

    def all(self) -> dict[str, object]:
        """Returns every report by the name of its device."""
        with self.lock:
            return dict(self.reports)

    def put(self, device: str, report: object) -> None:
        """Takes a report; it is on disk when this returns."""
        with self.lock:
            self.reports[device] = report
            unfinished = self.file.with_suffix(".new")
            with unfinished.open("w") as file:
                json.dump(self.reports, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.file)
