"""Counts requests in the firewall's logs and blocks addresses that exceed a rate rule."""

from .function import handler

__all__ = ["handler"]
