"""Lines of data files, and the error that names a bad one with its file and number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gemvec.errors import InvalidRequest


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers; only a line feed ends one.

    Raises:
        InvalidRequest: the file cannot be read or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8.", field=str(path)) from error
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", field=str(path)) from error


def bad_line(path: Path, number: int, expected: str) -> InvalidRequest:
    """Return the error for one line of a file."""
    place = f"{path}:{number}"
    return InvalidRequest(f"{place}: {expected}.", field=place)
