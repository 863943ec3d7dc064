"""The folder `batches` in the data folder or object store: a folder for each batch, with its input and its part files.

A batch's folder and input are durable before the row that names them is committed, and are removed after the row. So a
folder without a row is left over from a crash.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from gemvec.storage.durable import Place, make_folder, sync_folder, translate_os_errors, write_durably
from gemvec.storage.places import list_names, make_new_folder, remove_files, remove_tree

_INPUT_NAME = "input.jsonl"
_ERRORS_SUFFIX = ".errors.jsonl"


class BatchFolder:
    """Where the bytes of batches are."""

    def __init__(self, data_dir: Place) -> None:
        """Open the folder; it is made if it is missing."""
        self._folder = data_dir.resolve() / "batches"
        make_folder(self._folder)

    def input_path(self, batch_id: str) -> Place:
        """Return where a batch's input is."""
        return self._folder / batch_id / _INPUT_NAME

    def part_path(self, batch_id: str, chunk_index: int, lease: int) -> Place:
        """Return where the answers of one claim of a chunk go: a name that is never written twice."""
        return self._folder / batch_id / f"{chunk_index:07d}.{lease}.jsonl"

    def errors_path(self, batch_id: str, chunk_index: int) -> Place:
        """Return where the errors go for chunks that were never computed, from this one up to the next computed one."""
        return self._folder / batch_id / f"{chunk_index:07d}{_ERRORS_SUFFIX}"

    def write_input(self, batch_id: str, lines: Iterable[bytes]) -> Place:
        """Make a batch's folder with an input of these lines (line feeds are added), durable.

        Raises:
            StorageFull: there is no room.
        """
        return self._make(batch_id, lambda path: write_durably(path, (line + b"\n" for line in lines)))

    def link_input(self, batch_id: str, link: Callable[[Place], None]) -> Place:
        """Make a batch's folder with an input that `link` puts at the path it is given, durable."""

        def link_durably(path: Place) -> None:
            link(path)
            if not isinstance(path, Path):
                return
            with translate_os_errors(), path.open("rb") as file:
                os.fsync(file.fileno())
                sync_folder(path.parent)

        return self._make(batch_id, link_durably)

    def remove(self, batch_id: str) -> None:
        """Remove a batch's folder; nothing happens when it is gone."""
        with translate_os_errors():
            remove_tree(self._folder / batch_id)

    def list_batch_ids(self) -> set[str]:
        """Return the batches that have a folder."""
        with translate_os_errors():
            return list_names(self._folder)

    def list_parts(self, batch_id: str) -> set[str]:
        """Return the names of a batch's part files, and of its files of errors; none when its folder is gone."""
        with translate_os_errors(), suppress(FileNotFoundError):
            return list_names(self._folder / batch_id) - {_INPUT_NAME}
        return set()

    @staticmethod
    def has_errors(name: str) -> bool:
        """Return whether the name is that of a file of errors."""
        return name.endswith(_ERRORS_SUFFIX)

    def remove_parts(self, batch_id: str, names: Iterable[str]) -> None:
        """Remove some files of a batch."""
        with translate_os_errors():
            remove_files([self._folder / batch_id / name for name in names])

    def _make(self, batch_id: str, fill: Callable[[Place], object]) -> Place:
        path = self.input_path(batch_id)
        with translate_os_errors():
            make_new_folder(path.parent)
        fill(path)
        return path
