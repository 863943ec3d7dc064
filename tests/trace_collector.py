"""A real receiver of traces in a thread: takes what an OTLP exporter sends by HTTP, and reads it."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """Takes what an OTLP exporter sends.

    Attributes:
        bodies: each request's body, as it came.
        paths: each request's path.
    """

    def __init__(self):
        self.bodies, self.paths = [], []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def spans(self):
        """Return every span with its attributes as a dict."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            (span, {each.key: each.value.string_value or each.value.int_value for each in span.attributes})
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Handler(BaseHTTPRequestHandler):
    """Answers the collector's requests."""

    def do_POST(self):
        """Take a request."""
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Log nothing."""


@contextlib.contextmanager
def collecting():
    """Collect for as long as the context lasts."""
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
