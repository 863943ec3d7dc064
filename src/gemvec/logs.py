"""Logging, set up once by a program that serves or runs a command; a library user's logging is left alone.

Log records contain identifiers, counts and durations. Keys and input texts are never given to a logger; as a second
line of defence a filter masks everything in a record that looks like an API key.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any, TextIO

from gemvec.settings import LogFormat, LogLevel

LOGGER_NAME = "gemvec"

# How callers send keys: `key=...` in a URL, an x-goog-api-key or Authorization header, Google's AIza... shape.
_KEY_SHAPES = re.compile(
    r"(?i)(?P<name>[?&]key=|x-goog-api-key['\"]?\s*[:=]\s*['\"]?|bearer\s+)[^\s&'\",]+|AIza[0-9A-Za-z_\-]{20,}"
)

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def get_logger(name: str = "") -> logging.Logger:
    """Return gemvec's logger, or its child `name`."""
    return logging.getLogger(f"{LOGGER_NAME}.{name}" if name else LOGGER_NAME)


def configure_logs(log_format: LogFormat, log_level: LogLevel, stream: TextIO | None = None) -> None:
    """Send gemvec's records to `stream` (standard error when None), replacing what an earlier call set up."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else PrettyFormatter())
    logger = get_logger()
    logger.handlers[:] = [handler]
    logger.setLevel(log_level.upper())
    logger.propagate = False
    # No format shows these, and finding them costs every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def mask_keys(text: str) -> str:
    """Return `text` with everything that looks like an API key replaced by `***`."""
    return _KEY_SHAPES.sub(lambda found: (found["name"] or "") + "***", text)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class PrettyFormatter(logging.Formatter):
    """One line per record for people: time, level, message, then `name=value` for each extra field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, followed by its traceback if it has one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        extras = "".join(f" {name}={value}" for name, value in _extras(record).items())
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()}{extras}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return mask_keys(line)


class JsonFormatter(logging.Formatter):
    """One JSON object per record: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{whole}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return mask_keys(json.dumps(entry, ensure_ascii=False, default=str))
