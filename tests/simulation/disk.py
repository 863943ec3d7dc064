"""A folder whose file operations may fail, and which forgets at a power cut what was not fsynced.

The files are real. Beside them, the disk keeps what is durable: the bytes of every file at its last fsync with the
writes since then, and the entries of every folder that changed since the folder's last fsync. A power cut keeps a
random part of what is not durable: whole writes, half a write, some new names and some removed ones.

While it is installed, the functions of `os` and `io` that change files inside the folder go through it, and so does
opening one.
"""

import contextlib
import errno
import io
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

_PATCHED = ("open", "close", "fsync", "pwrite", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "link")
FOLDER = "folder"  # stands in a folder's entries for a folder; a file is a number


@dataclass
class Content:
    """The bytes of one file: what is durable, and the writes since the last fsync as (offset, bytes or None to cut)."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list = field(default_factory=list)

    def sync(self):
        self.durable = self.after(self.pending)
        self.pending = []

    def after(self, writes):
        image = bytearray(self.durable)
        for offset, data in writes:
            if data is None:
                del image[offset:]
                continue
            if len(image) < offset:
                image += bytes(offset - len(image))
            image[offset : offset + len(data)] = data
        return image


class Disk:
    """The file operations below one folder."""

    def __init__(self, root, world):
        """Simulate `root`, an existing empty folder; `world.touch(kind, name)` decides about each operation."""
        self.root = str(root)
        self._world = world
        self._ids = {}  # path -> number of its file
        self._contents = {}  # number -> Content
        self._before = {}  # folder -> {name: what was there at the folder's last fsync}
        self._descriptors = {}  # open descriptor -> path
        self._next = 0
        self.is_full = False
        self._real = {name: getattr(os, name) for name in _PATCHED}
        self._real_open = io.open

    @contextlib.contextmanager
    def installed(self):
        """Take part in every file operation of this process while the block lasts."""
        for name in _PATCHED:
            setattr(os, name, getattr(self, f"_{name}"))
        io.open = self._io_open
        try:
            yield self
        finally:
            for name in _PATCHED:
                setattr(os, name, self._real[name])
            io.open = self._real_open

    # The operations, each under the name of the function that it stands for.

    def _open(self, path, flags, mode=0o777, *, dir_fd=None):
        name = self._inside(path, dir_fd)
        if name is None:
            descriptor = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            self._descriptors.pop(descriptor, None)
            return descriptor
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(name)
        if is_new:
            self._grow("create", name)
        descriptor = self._real["open"](name, flags, mode)
        if is_new:
            self._enter(name, self._new_file())
        if flags & os.O_TRUNC and name in self._ids:
            self._contents[self._ids[name]].pending.append((0, None))
        self._descriptors[descriptor] = name
        return descriptor

    def _close(self, descriptor):
        self._descriptors.pop(descriptor, None)
        self._real["close"](descriptor)

    def _fsync(self, descriptor):
        name = self._descriptors.get(descriptor)
        if name is None:
            return self._real["fsync"](descriptor)
        try:
            self._world.touch("fsync", name)
        except OSError:
            # As Linux does it: pages that could not be written are clean from then on, and lost at a power cut.
            if name in self._ids:
                self._contents[self._ids[name]].pending = []
            raise
        if name in self._ids:
            self._contents[self._ids[name]].sync()
        else:
            self._forget_folder(name)
        return None

    def _pwrite(self, descriptor, data, offset):
        name = self._descriptors.get(descriptor)
        if name is None:
            return self._real["pwrite"](descriptor, data, offset)
        data = self._admit(name, data)
        written = self._real["pwrite"](descriptor, data, offset)
        self._note(name, offset, bytes(data[:written]))
        return written

    def _rename(self, source, target, *, src_dir_fd=None, dst_dir_fd=None):
        old, new = self._inside(source, src_dir_fd), self._inside(target, dst_dir_fd)
        if old is None or new is None:
            return self._real["rename"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._world.touch("rename", new)
        self._real["rename"](old, new)
        number = self._ids[old]
        self._leave(old)
        self._enter(new, number)
        return None

    _replace = _rename

    def _unlink(self, path, *, dir_fd=None):
        name = self._inside(path, dir_fd)
        if name is None:
            return self._real["unlink"](path, dir_fd=dir_fd)
        self._world.touch("unlink", name)
        self._real["unlink"](name)
        self._leave(name)
        return None

    _remove = _unlink

    def _mkdir(self, path, mode=0o777, *, dir_fd=None):
        name = self._inside(path, dir_fd)
        if name is None:
            return self._real["mkdir"](path, mode, dir_fd=dir_fd)
        self._grow("mkdir", name)
        self._real["mkdir"](name, mode)
        self._remember(name, FOLDER, is_there_now=True)
        return None

    def _rmdir(self, path, *, dir_fd=None):
        name = self._inside(path, dir_fd)
        if name is None:
            return self._real["rmdir"](path, dir_fd=dir_fd)
        self._world.touch("rmdir", name)
        self._real["rmdir"](name)
        self._remember(name, FOLDER, is_there_now=False)
        return None

    def _link(self, source, target, **options):
        old, new = self._inside(source, None), self._inside(target, None)
        if old is None or new is None:
            return self._real["link"](source, target, **options)
        self._grow("link", new)
        self._real["link"](old, new)
        self._enter(new, self._ids[old])
        return None

    def _io_open(self, file, mode="r", buffering=-1, *options, **more):
        name = self._inside(file, None)
        if name is None or "b" not in mode:
            return self._real_open(file, mode, buffering, *options, **more)
        if set(mode) & set("wax+"):
            is_new = not os.path.lexists(name)
            self._grow("create" if is_new else "truncate", name)
            raw = _Writer(self, name, mode)
            if is_new:
                self._enter(name, self._new_file())
            elif "w" in mode:
                self._contents[self._ids[name]].pending.append((0, None))
            self._descriptors[raw.fileno()] = name
            return raw if buffering == 0 else io.BufferedWriter(raw)
        self._world.touch("read", name)
        return self._real_open(file, mode, buffering, *options, **more)

    # What they do to the record.

    def admit_and_note(self, name, data, offset, write):
        """Write what the world lets through; return how many bytes that is."""
        data = self._admit(name, data)
        written = write(data)
        self._note(name, offset, bytes(data[:written]))
        return written

    def _admit(self, name, data):
        self._grow("write", name)
        return data[: self._world.shorten(len(data))]

    def _grow(self, kind, name):
        self._world.touch(kind, name)
        if self.is_full and self._world.is_faulty:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def _note(self, name, offset, data):
        number = self._ids.get(name)
        if number is not None:  # otherwise nobody sees it any more
            self._contents[number].pending.append((offset, data))

    def _new_file(self):
        self._next += 1
        self._contents[self._next] = Content()
        return self._next

    def _enter(self, name, number):
        self._remember(name, self._ids.get(name), is_there_now=None)
        self._ids[name] = number

    def _leave(self, name):
        self._remember(name, self._ids.pop(name, None), is_there_now=None)

    def _remember(self, name, entry, *, is_there_now):
        """Note what was in a folder before its first change since its last fsync."""
        folder, base = os.path.split(name)
        if is_there_now is not None:
            entry = None if is_there_now else FOLDER
        self._before.setdefault(folder, {}).setdefault(base, entry)

    def _forget_folder(self, folder):
        """Note that the entries of a folder are durable."""
        for base in self._before.pop(folder, {}):
            gone = f"{folder}/{base}"
            if not os.path.lexists(gone):
                for each in [each for each in self._before if each == gone or each.startswith(gone + os.sep)]:
                    del self._before[each]
        kept = set(self._ids.values())
        kept.update(entry for entries in self._before.values() for entry in entries.values() if entry != FOLDER)
        self._contents = {number: each for number, each in self._contents.items() if number in kept}

    def _inside(self, path, dir_fd):
        """Return the absolute path of what is inside the folder, None for everything else."""
        if isinstance(path, int):
            return None
        name = os.fspath(path)
        if isinstance(name, bytes):
            return None
        if dir_fd is not None:
            folder = self._descriptors.get(dir_fd)
            return None if folder is None else f"{folder}/{name}"
        return name if name.startswith(self.root + os.sep) or name == self.root else None

    # What a power cut does.

    def lose_power(self, chance):
        """Keep a random part of what is not durable; call it when nothing is open."""
        self._descriptors.clear()
        for folder in sorted(self._before):
            if Path(folder).is_dir():
                for base, before in sorted(self._before[folder].items()):
                    if chance.random() < 0.5:
                        self._restore(f"{folder}/{base}", before)
        for number, content in self._contents.items():
            if content.pending:
                self._tear(number, content, chance)
        self._before.clear()
        kept = set(self._ids.values())
        self._contents = {number: each for number, each in self._contents.items() if number in kept}

    def _restore(self, name, before):
        """Put back what was there; contents follow."""
        now = FOLDER if Path(name).is_dir() else self._ids.get(name)
        if now == before:
            return
        if now == FOLDER:
            shutil.rmtree(name)
            for each in [each for each in self._ids if each.startswith(name + os.sep)]:
                del self._ids[each]
        elif now is not None:
            self._real["unlink"](name)
            del self._ids[name]
        if before == FOLDER:
            self._real["mkdir"](name, 0o700)
        elif before is not None:
            other = next((path for path, number in self._ids.items() if number == before), None)
            if other:
                self._real["link"](other, name)
            else:
                self._write(name, self._contents[before].after(self._contents[before].pending))
            self._ids[name] = before

    def _tear(self, number, content, chance):
        kept = content.pending[: chance.randrange(len(content.pending) + 1)]
        if kept and kept[-1][1] and chance.random() < 0.5:
            offset, data = kept[-1]
            length = chance.randrange(len(data) + 1)
            kept[-1] = (offset, data[:length] + bytes(len(data) - length))  # the length came before the bytes
        content.durable, content.pending = content.after(kept), []
        for path in (path for path, each in self._ids.items() if each == number):
            self._write(path, content.durable)

    def _write(self, name, content):
        with self._real_open(name, "wb") as file:
            file.write(content)

    def forget(self, descriptor):
        """Note that a descriptor is closed."""
        self._descriptors.pop(descriptor, None)

    def close_all(self):
        """Close what a dead process had open."""
        for descriptor in list(self._descriptors):
            with contextlib.suppress(OSError):
                self._real["close"](descriptor)
        self._descriptors.clear()


class _Writer(io.FileIO):
    """A file opened for writing: each write may be short or fail."""

    def __init__(self, disk, name, mode):
        self._disk, self._name = disk, name
        super().__init__(name, mode.replace("b", ""))

    def close(self):
        if not self.closed:
            self._disk.forget(self.fileno())
        super().close()

    def write(self, data):
        data = bytes(data)
        return self._disk.admit_and_note(self._name, data, self.tell(), super().write)
