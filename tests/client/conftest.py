"""The scripted server, started once and cleared for each test."""

from scripted_server import _scripted_server, server  # noqa: F401 - fixtures
