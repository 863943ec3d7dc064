"""The world: a seeded scheduler, which runs one task at a time and decides at every step what goes wrong there."""

import errno
import os
import random
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent, greenlet

from gemvec.errors import StorageFailure
from simulation.disk import Disk

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
# What may go wrong at one step, and in how many of 10,000.
FAULTS = {"death": 4, "power cut": 4, "EIO": 25, "ENOSPC": 15, "short write": 60, "commit unknown": 15, "busy": 15}
SWITCH = 0.25  # how often another task goes on


class Death(BaseException):
    """The process is dead; nothing in it runs any more."""


class Violation(AssertionError):
    """A promise was broken."""


class Process:
    """A server's process.

    Attributes:
        is_dead: whether it has died; whatever it still tries fails.
    """

    def __init__(self):
        self.is_dead = False
        self.tasks = []


class World:
    """One seed's world.

    Attributes:
        chance: the one source of chance.
        steps: steps so far: file operations, transactions, statements and commits.
        faults: how many there were, by kind.
        is_faulty: whether anything goes wrong now.
        seconds: on the clock that cannot be set.
    """

    def __init__(self, seed, folder):
        self.chance = random.Random(seed)
        self.steps = 0
        self.faults = Counter()
        self.is_faulty = False
        self.seconds = 0.0
        self.clock_is_off_by = timedelta(0)
        self.processes = []
        self.loses_power = False
        self._in_transaction = set()
        self._main = getcurrent()
        self._of_task = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.disk = Disk(folder, self)

    # Clocks.

    def wall_clock(self):
        return FIRST_DAY + timedelta(seconds=self.seconds) + self.clock_is_off_by

    def elapsed_seconds(self):
        return self.seconds

    # Tasks.

    def process_of_now(self):
        return self._of_task.get(getcurrent())

    def spawn(self, process, work):
        """Add a task to a process; it runs until it returns or the process dies."""

        def run():
            try:
                work()
            except Death:
                process.is_dead = True

        task = greenlet(run, self._main)
        self._of_task[task] = process
        process.tasks.append(task)

    def run(self, processes, rounds):
        """Let the tasks take turns until all have ended, a process has died, or for some rounds."""
        for _ in range(rounds):
            ready = [task for process in processes for task in process.tasks if not task.dead]
            if not ready or any(process.is_dead for process in processes):
                return
            self.seconds += self.chance.random()
            self.chance.choice(ready).switch()

    def kill(self, process):
        """End a process where it is."""
        process.is_dead = True
        for task in process.tasks:
            if task and not task.dead:
                task.throw(Death)
            self._of_task.pop(task, None)
        process.tasks = []
        self._in_transaction = {each for each in self._in_transaction if not each.dead}

    def pause(self):
        """Let another task go on, unless this one holds the database."""
        now = getcurrent()
        if now is not self._main and now not in self._in_transaction:
            self._main.switch()
            self.check_alive()

    def check_alive(self):
        process = self.process_of_now()
        if process is not None and process.is_dead:
            raise Death

    # Steps.

    def begin_transaction(self):
        self._in_transaction.add(getcurrent())

    def end_transaction(self):
        self._in_transaction.discard(getcurrent())

    def touch(self, kind, name=""):
        """Take one step; raise what goes wrong there."""
        self.check_alive()
        self.steps += 1
        if not self.is_faulty:
            return
        if getcurrent() is not self._main and self.chance.random() < SWITCH:
            self.pause()
        fault = self._fault()
        if fault in {"death", "power cut"}:
            self.die(fault)
        if fault == "EIO":
            self._note(fault)
            raise OSError(errno.EIO, os.strerror(errno.EIO), name)
        if fault == "ENOSPC" and kind in {"create", "write", "mkdir", "link"}:
            self._note(fault)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def touch_database(self, kind):
        """Take one step in the database; a failing one rolls its transaction back."""
        self.check_alive()
        self.steps += 1
        if not self.is_faulty:
            return
        if kind == "begin" and self.chance.random() < SWITCH:
            self.pause()
        fault = self._fault()
        if fault in {"death", "power cut"}:
            self.die(fault)
        if fault == "busy" and kind == "begin":
            self._note(fault)
            raise StorageFailure("database is locked") from sqlite3.OperationalError("database is locked")
        if fault == "EIO":
            self._note(fault)
            raise StorageFailure("disk I/O error") from sqlite3.OperationalError("disk I/O error")

    def after_commit(self):
        """Say what becomes of the news of a commit."""
        if not self.is_faulty:
            return
        fault = self._fault()
        if fault in {"death", "power cut"}:
            self.die(fault)
        if fault == "commit unknown":
            self._note(fault)
            raise StorageFailure("the connection was lost")

    def shorten(self, size):
        """Return how many bytes of a write go through."""
        if self.is_faulty and size > 1 and self._fault() == "short write":
            self._note("short write")
            return self.chance.randrange(1, size)
        return size

    def die(self, fault):
        process = self.process_of_now()
        if process is None:
            return
        self._note(fault)
        self.loses_power = fault == "power cut"
        process.is_dead = True
        raise Death

    def _fault(self):
        number = self.chance.randrange(10_000)
        for fault, share in FAULTS.items():
            if number < share:
                return fault
            number -= share
        return None

    def _note(self, fault):
        self.faults[fault] += 1
