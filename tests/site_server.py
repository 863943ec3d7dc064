"""A web site on this machine, whose pages the tests change, break and hold back."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Page:
    """What the site answers for one path.

    Attributes:
        body: of the answer.
        media_type: its `Content-Type`; None for none.
        status: of the answer.
        headers: more of them; an `ETag` or `Last-Modified` makes the page answer 304 to who knows it.
    """

    body: bytes = b""
    media_type: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Site(ThreadingHTTPServer):
    """The site.

    Attributes:
        pages: by path; paths without one answer 404.
        asked: path and status of each answer, in order.
        authorizations: what each request had as its Authorization.
        go_on: a page with the header `X-Stall` comes when it is set.
        stalled: is set when such a page is asked for.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.asked, self.authorizations = {}, [], []
        self.go_on, self.stalled = threading.Event(), threading.Event()

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self):
        return f"http://{self.host}"

    def put(self, path, body, media_type="text/html; charset=utf-8", status=200, **headers):
        """Serve a page; an underscore in a header's name stands for a hyphen."""
        data = body if isinstance(body, bytes) else body.encode()
        self.pages[path] = Page(
            data, media_type, status, {name.replace("_", "-"): each for name, each in headers.items()}
        )

    def put_sitemap(self, *paths, at="/sitemap.xml", kind="url"):
        """Serve a sitemap that names paths of this site, or whole addresses; `kind` is `url` or `sitemap`."""
        whole = [each if "://" in each else self.url + each for each in paths]
        root = {"url": "urlset", "sitemap": "sitemapindex"}[kind]
        entries = "".join(f"<{kind}><loc>{each}</loc></{kind}>" for each in whole)
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        self.put(at, f'<?xml version="1.0"?><{root} xmlns="{space}">{entries}</{root}>', "application/xml")

    def take_asked(self):
        """Return what was asked for since the last call, without robots.txt."""
        asked, self.asked = self.asked, []
        return [each for each in asked if each[0] != "/robots.txt"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        page = self.server.pages.get(self.path) or Page(b"no", status=404)
        self.server.authorizations.append(self.headers.get("Authorization"))
        known = [(page.headers.get("ETag"), "If-None-Match"), (page.headers.get("Last-Modified"), "If-Modified-Since")]
        is_known = any(value and self.headers.get(name) == value for value, name in known)
        status, body = (304, b"") if is_known else (page.status, page.body)
        self.server.asked.append((self.path, status))
        if "X-Stall" in page.headers:
            self.server.stalled.set()
            self.server.go_on.wait(120)
        self.send_response(status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.media_type is not None:
            self.send_header("Content-Type", page.media_type)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def running_site():
    """Serve a site for the length of a block."""
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def site():
    """A running site without pages."""
    with running_site() as server:
        yield server
