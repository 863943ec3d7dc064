"""The folder `batches` in the data folder: one folder for each batch, with its input and its part files.

A batch's folder and input are durable before the row that names them is committed, and are removed after the row. So a
folder without a row is left over from a crash.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from gemvec.storage.durable import make_folder, sync_folder, translate_os_errors, write_durably

_INPUT_NAME = "input.jsonl"


class BatchFolder:
    """Where the bytes of batches are."""

    def __init__(self, data_dir: Path) -> None:
        """Open the folder; it is made if it is missing."""
        self._folder = data_dir.resolve() / "batches"
        make_folder(self._folder)

    def input_path(self, batch_id: str) -> Path:
        """Return where a batch's input is."""
        return self._folder / batch_id / _INPUT_NAME

    def part_path(self, batch_id: str, chunk_index: int, lease: int) -> Path:
        """Return where the answers of one claim of a chunk go: a name that is never written twice."""
        return self._folder / batch_id / f"{chunk_index:07d}.{lease}.jsonl"

    def errors_path(self, batch_id: str, chunk_index: int) -> Path:
        """Return where the errors go for chunks that were never computed, from this one up to the next computed one."""
        return self._folder / batch_id / f"{chunk_index:07d}.errors.jsonl"

    def list_errors(self, batch_id: str) -> list[Path]:
        """Return the files of errors that a batch has."""
        with translate_os_errors():
            return list((self._folder / batch_id).glob("*.errors.jsonl"))

    def write_input(self, batch_id: str, lines: Iterable[bytes]) -> Path:
        """Make a batch's folder with an input of these lines (line feeds are added), durable.

        Raises:
            StorageFull: there is no room.
        """
        return self._make(batch_id, lambda path: write_durably(path, (line + b"\n" for line in lines)))

    def link_input(self, batch_id: str, link: Callable[[Path], None]) -> Path:
        """Make a batch's folder with an input that `link` puts at the path it is given, durable."""

        def link_durably(path: Path) -> None:
            link(path)
            with translate_os_errors(), path.open("rb") as file:
                os.fsync(file.fileno())
                sync_folder(path.parent)

        return self._make(batch_id, link_durably)

    def remove(self, batch_id: str) -> None:
        """Remove a batch's folder; nothing happens when it is gone."""
        with translate_os_errors():
            shutil.rmtree(self._folder / batch_id, ignore_errors=True)

    def list_batch_ids(self) -> set[str]:
        """Return the batches that have a folder."""
        with translate_os_errors(), os.scandir(self._folder) as entries:
            return {entry.name for entry in entries}

    def remove_parts(self, batch_id: str, *, keep: Iterable[Path]) -> int:
        """Remove what is left of void claims: every file but the input and the parts named; return how many."""
        kept = {_INPUT_NAME} | {path.name for path in keep}
        with translate_os_errors():
            void = [path for path in (self._folder / batch_id).glob("*") if path.name not in kept]
            for path in void:
                path.unlink(missing_ok=True)
        return len(void)

    def _make(self, batch_id: str, fill: Callable[[Path], object]) -> Path:
        path = self.input_path(batch_id)
        with translate_os_errors():
            path.parent.mkdir()
            sync_folder(self._folder)
        fill(path)
        return path
