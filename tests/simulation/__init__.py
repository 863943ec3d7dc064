"""A deterministic simulation of the outside of the stores: disk, database, clock, processes that die.

`world.py` schedules clients and workers, one at a time, by a seed; `disk.py` remembers what a power cut would take;
`store_database.py` is SQLite with faults; `clients.py` does what callers do and knows what was promised to them;
`contract.py` checks the promises. `tools/simulate.py` runs it.
"""
