"""A server that keeps files and batches, in front of an embedder that computes at once.

As a program, `python batch_server.py DATA_DIR [SETTING=VALUE ...]`: prints its URL and serves until it is stopped. With
`delay_seconds=VALUE` each call of the embedder takes so long.
"""

import sys
from contextlib import ExitStack, contextmanager
from functools import partial

from gemvec.server.batches import open_batch_runner, running
from gemvec.server.files import open_file_store, sweeping
from gemvec.server.run import open_socket, serve, serving, url_of
from gemvec.server.services import Services
from gemvec.settings import Settings
from gemvec.storage.database import open_database
from hash_embedder import HashEmbedder

NAMES = ("hash", "gemini-embedding-001")


def batch_services(embedder=None, **settings):
    """Return services that keep batches, and what closes them."""
    loaded = Settings.load({}, **settings)
    embedder = embedder or HashEmbedder(names=NAMES)
    database = open_database(loaded.database_url or loaded.data_dir / "gemvec.sqlite3")
    files = open_file_store(loaded, database)
    batches = open_batch_runner(loaded, database, files, embedder)
    lifespans = (partial(sweeping, files), partial(running, batches))
    services = Services(settings=loaded, embedder=embedder, files=files, batches=batches, lifespans=lifespans)
    return services, database.close


@contextmanager
def batch_server(data_dir, embedder=None, **settings):
    """Serve batches in a thread; gives the URL."""
    services, close = batch_services(embedder, data_dir=data_dir, **settings)
    with ExitStack() as opened:
        opened.callback(close)
        yield opened.enter_context(serving(services))


def main():
    """Serve until SIGTERM."""
    settings = dict(each.split("=", 1) for each in sys.argv[2:])
    embedder = HashEmbedder(names=NAMES, delay_seconds=float(settings.pop("delay_seconds", 0)))
    services, close = batch_services(embedder, data_dir=sys.argv[1], **settings)
    bound = open_socket("127.0.0.1", 0)
    try:
        serve(services, bound, lambda: print(url_of(bound), flush=True))
    finally:
        close()


if __name__ == "__main__":
    main()
