"""How errors and the server itself are described."""

from __future__ import annotations

from gemvec.server.schema import Schema, integer, many, message, text

SCHEMAS: dict[str, Schema] = {
    "Status": message("google.rpc.Status.", code=integer("A google.rpc.Code number."), message=text("For people.")),
    "Empty": message("Nothing."),
    "Error": message(
        "What went wrong.",
        error=message(
            "google.rpc.Status as HTTP carries it.",
            code=integer("The HTTP status."),
            message=text("For people."),
            status=text("The canonical name, such as INVALID_ARGUMENT."),
            details=many({"type": "object"}, "google.rpc messages: BadRequest, RetryInfo, ErrorInfo, RequestInfo."),
        ),
    ),
    "Health": message("How it stands.", status=text("alive or ready")),
    "Welcome": message(
        "What this is.",
        name=text("gemvec"),
        version=text("gemvec's version."),
        weights=text("The default model's weights."),
        models=many({"type": "string"}, "The names that are served."),
        docs=text("Where to read on."),
    ),
}
