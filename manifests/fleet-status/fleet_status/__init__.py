"""The state of a fleet of devices over HTTP: devices report it, people and dashboards read it."""
