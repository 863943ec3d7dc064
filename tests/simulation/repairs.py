"""Repairs that can be left out, to show that the simulation finds what they mend."""

import contextlib

from gemvec.batches import rows
from gemvec.batches.queue import BatchQueue
from gemvec.batches.store import BatchStore
from gemvec.files.upload_store import UploadStore
from simulation.store import SimulatedDatabase, SimulatedReserve

# By name: (owner, attribute, what stands there without the repair).
REPAIRS = {
    "durable attempts": [(rows, "release_chunks_after_crash", rows.release_all_chunks)],
    "reserve of space": [(SimulatedReserve, "may_pay", lambda *_: False)],
    "fencing token": [(SimulatedDatabase, "fence", lambda *_: None)],
    "sweep of leftovers": [
        (BatchQueue, "_remove_void_parts", lambda *_: 0),
        (UploadStore, "recover", lambda *_: None),
    ],
    "news of a commit": [
        (BatchQueue, "_is_counted", lambda *_: False),
        (BatchStore, "_may_exist", lambda *_: False),
    ],
}


@contextlib.contextmanager
def without(name):
    """Leave a repair out while the block lasts; none if the name is empty."""
    with contextlib.ExitStack() as undone:
        for owner, attribute, instead in REPAIRS[name] if name else ():
            undone.callback(setattr, owner, attribute, getattr(owner, attribute))
            setattr(owner, attribute, instead)
        yield
