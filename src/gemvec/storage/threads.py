"""Threads for calls that may wait for a disk or a database, apart from the threads that serve everything else.

The event loop's own threads are few and tokenize texts. If calls to a database that does not answer ran in them, a few
such calls would stop every embedding. So each kind of waiting has its own threads.
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
    """Run a call that looks up a key, and wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_keys, partial(call, *args, **kwargs))
