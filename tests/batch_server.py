"""A server that keeps files and batches, in front of an embedder that computes at once.

As a program, `python batch_server.py DATA_DIR [SETTING=VALUE ...]`: prints its URL and serves until it is stopped. With
`delay_seconds=VALUE` each call of the embedder takes so long.
"""

import sys
from contextlib import contextmanager

from gemvec.server.run import open_socket, serve, serving, url_of
from gemvec.server.services import open_services
from gemvec.settings import Settings
from hash_embedder import HashEmbedder

NAMES = ("hash", "gemini-embedding-001")


def batch_services(embedder=None, **settings):
    """Return the services of a server with that embedder."""
    return open_services(Settings.load({}, **settings), embedder=embedder or HashEmbedder(names=NAMES))


@contextmanager
def batch_server(data_dir, embedder=None, **settings):
    """Serve batches in a thread; gives the URL."""
    with serving(batch_services(embedder, data_dir=data_dir, **settings)) as url:
        yield url


def main():
    """Serve until SIGTERM."""
    settings = dict(each.split("=", 1) for each in sys.argv[2:])
    embedder = HashEmbedder(names=NAMES, delay_seconds=float(settings.pop("delay_seconds", 0)))
    services = batch_services(embedder, data_dir=sys.argv[1], **settings)
    bound = open_socket("127.0.0.1", 0)
    serve(services, bound, lambda: print(url_of(bound), flush=True))


if __name__ == "__main__":
    main()
