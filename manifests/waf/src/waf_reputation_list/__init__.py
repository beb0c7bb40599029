"""Turns published reputation lists into the IP sets of the firewall, and writes a report on what changed."""

from .function import handler

__all__ = ["handler"]
