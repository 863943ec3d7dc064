"""Threads for what may wait for a disk or a database, apart from those that serve everybody else.

The event loop's own threads are few and tokenize texts. Were calls to a database that does not answer run in them, a
handful of these would stop every embedding. So each kind of waiting has threads of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_database = ThreadPoolExecutor(8, thread_name_prefix="gemvec-database")
_files = ThreadPoolExecutor(8, thread_name_prefix="gemvec-files")
_keys = ThreadPoolExecutor(2, thread_name_prefix="gemvec-keys")


async def in_database_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call that asks the database, and wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_database, partial(call, *args, **kwargs))


async def in_file_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call that moves the bytes of a file, and wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_files, partial(call, *args, **kwargs))


async def in_key_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call that looks up who calls, and wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_keys, partial(call, *args, **kwargs))
