"""One seed from its first start to its last batch: lives of servers, deaths, power cuts, two servers on one store."""

import contextlib
import logging
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from gemvec.batches import chunk
from gemvec.errors import GemvecError
from simulation.clients import MAYBE, WEIGHTS, Clients, Turns
from simulation.contract import check, check_ended, check_leftovers
from simulation.store import SimulatedReserve, Store, deterministic
from simulation.world import Process, Violation, World

WORKERS, CALLERS = 2, 3
_ROUNDS = 120  # of a third of a life without a death
# Finding one request among the three of a chunk takes a few deaths, and there may be several chunks.
_LAST_LIVES = 150


class Outcome(SimpleNamespace):
    """What became of one seed: its `seed`, `steps`, `faults`, `operations`, `lives`, and its `violation` or None."""


def run_seed(seed, steps):
    """Run one seed for about so many steps; return its outcome."""
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None
    base = Path(tempfile.mkdtemp(prefix="gemvec-simulation-", dir=parent)).resolve()
    logging.getLogger("gemvec").setLevel(logging.CRITICAL + 1)
    try:
        return Simulation(seed, base).run(steps)
    finally:
        shutil.rmtree(base)


class Simulation:
    """One seed's world with its servers and callers."""

    def __init__(self, seed, base):
        (base / "data").mkdir()
        self.seed, self.base = seed, base
        self.world = World(seed, base / "data")
        self.world.reserve = SimulatedReserve(self.world)
        self.world.has_poison = self.world.chance.random() < 0.3
        self.clients = Clients(self.world)
        self.lives = 0

    def run(self, steps):
        """Run; a violation ends it."""
        violation = None
        with self.world.disk.installed(), deterministic(self.world), _without_threads():
            try:
                while self.world.steps < steps:
                    self.live()
                self.finish()
            except Violation as error:
                violation = str(error)
        return Outcome(
            seed=self.seed,
            steps=self.world.steps,
            faults=self.world.faults,
            operations=self.clients.operations,
            lives=self.lives,
            violation=violation,
        )

    def live(self):
        """Let a server start, work under faults and end in some way; then check what it has left."""
        process, chance = Process(), self.world.chance
        store = self.start(process)
        if store is None:
            self.end((process, None))
            return
        self.world.is_faulty = True
        self.populate(process, store)
        self.world.run([process], chance.randrange(_ROUNDS))
        if chance.random() < 0.3:
            self.fill(process)
        self.jump()
        self.world.run([process], chance.randrange(_ROUNDS))
        if not process.is_dead and chance.random() < 0.5:
            self.end((process, store), self.share(process, store))
        else:
            self.end((process, store))
        self.audit()

    def fill(self, process):
        """Let somebody fill the disk for a while."""
        self.world.faults["full disk"] += 1
        self.world.disk.is_full = True
        self.world.run([process], self.world.chance.randrange(_ROUNDS // 2))
        self.world.disk.is_full = False

    def share(self, first, store):
        """Let a second server take the store over while the first one, which does not know, goes on; return it."""
        self.world.faults["lock lost"] += 1
        for _ in range(_ROUNDS):  # better while a batch is being made
            if any(thing.kind == "batch" and thing.is_busy and thing.exists == MAYBE for thing in self.clients.things):
                break
            self.world.run([first], 1)
        self.world.run([first], self.world.chance.randrange(12))
        store.is_deposed = True
        second = Process()
        other = self.start(second)
        if other is not None:
            self.populate(second, other)
        self.world.run([first, second], self.world.chance.randrange(_ROUNDS))
        return second, other

    def start(self, process):
        """Start a server under faults; return its store, None where it does not come up."""
        self.lives += 1
        self.jump(is_running=False)
        opened = []

        def open_store():
            with contextlib.suppress(GemvecError, OSError):
                store = Store(self.world, self.base)
                opened.append(store)
                store.recover([WEIGHTS])
                process.is_up = True

        process.is_up = False
        self.world.is_faulty = self.world.chance.random() < 0.5
        self.world.spawn(process, open_store)
        self.world.run([process], 10_000)
        self.world.is_faulty = True
        if process.is_up and not process.is_dead:
            return opened[0]
        if opened:
            opened[0].close()
        self.world.kill(process)
        return None

    def populate(self, process, store):
        """Give a server its workers, its clock and its callers."""
        turns = Turns()
        for _ in range(WORKERS):
            self.world.spawn(process, lambda: self.clients.work(store, turns))
        self.world.spawn(process, lambda: self.clients.keep_time(store))
        for _ in range(CALLERS):
            self.world.spawn(process, lambda: self.clients.call(store))

    def jump(self, *, is_running=True):
        """Set the clock by days, or set it right again; a start at another date lets what is old expire."""
        world = self.world
        if world.chance.random() < 0.1:
            world.faults["clock jump"] += 1
            days = world.chance.choice([-3, -1, 1, 3]) if not world.clock_is_off_by else 0
            world.clock_is_off_by = timedelta(days=days)
        if not is_running:
            for thing in self.clients.things:
                if world.clock_is_off_by or thing.facts.get("may_expire"):
                    thing.facts["may_expire"] = True
                    thing.facts.setdefault("may_be", set()).add("EXPIRED")

    def end(self, *servers):
        """End servers; if none has died, by a kill or a power cut."""
        if not any(process.is_dead for process, _ in servers):
            fault = self.world.chance.choice(["death", "power cut"])
            self.world.faults[fault] += 1
            self.world.loses_power = fault == "power cut"
        self.world.is_faulty = False
        for process, store in servers:
            self.world.kill(process)
            if store is not None:
                store.close()
        self.world.disk.close_all()
        for thing in self.clients.things:
            thing.is_busy = False
        if self.world.loses_power:
            self.world.loses_power = False
            self.world.disk.lose_power(self.world.chance)

    def audit(self):
        """Start once without faults, clean up, and check the promises."""
        self.lives += 1
        self.jump(is_running=False)
        self.world.is_faulty = False
        store = Store(self.world, self.base)
        try:
            store.recover([WEIGHTS])
            store.sweep()
            self.world.seconds += 1  # what has just ended is swept later
            store.sweep()
            check(self.clients, store)
            check_leftovers(self.base / "data", store.batches)
        finally:
            store.close()

    def finish(self):
        """Without faults, every batch ends, however many deaths its poison costs."""
        for _ in range(_LAST_LIVES):
            process = Process()
            self.world.is_faulty = False
            store = Store(self.world, self.base)
            store.recover([WEIGHTS])
            turns = Turns()
            for _ in range(WORKERS):
                self.world.spawn(process, lambda store=store, turns=turns: self.clients.work(store, turns))
            self.world.spawn(process, lambda store=store: self.clients.keep_time(store))
            self.world.run([process], 300)
            is_open = not process.is_dead and self._has_open(store)
            died = process.is_dead
            self.world.kill(process)
            store.close()
            self.world.disk.close_all()
            if not died and not is_open:
                break
        self.audit()
        store = Store(self.world, self.base)
        try:
            check_ended(self.clients, store)
        finally:
            store.close()

    def _has_open(self, store):
        try:
            check_ended(self.clients, store)
        except Violation:
            return True
        return False


@contextlib.contextmanager
def _without_threads():
    """Let chunks call in place where they use threads."""

    async def in_place(call, *arguments):
        return call(*arguments)

    before, chunk.asyncio = chunk.asyncio, SimpleNamespace(to_thread=in_place)
    try:
        yield
    finally:
        chunk.asyncio = before


def add_up(outcomes):
    """Return the sums of many outcomes."""
    faults, operations = Counter(), Counter()
    for each in outcomes:
        faults.update(each.faults)
        operations.update(each.operations)
    return {
        "seeds": len(outcomes),
        "steps": sum(each.steps for each in outcomes),
        "lives": sum(each.lives for each in outcomes),
        "faults": dict(sorted(faults.items())),
        "operations": dict(sorted(operations.items())),
        "violations": [{"seed": each.seed, "violation": each.violation} for each in outcomes if each.violation],
    }
