"""The messages of files and uploads."""

from __future__ import annotations

from gemvec.server.schema import Schema, int64, many, message, ref, text, timestamp

SCHEMAS: dict[str, Schema] = {
    "File": message(
        "A file.",
        name=text("`files/{file}`"),
        displayName=text("A name for people."),
        mimeType=text("As the uploader said it."),
        sizeBytes=int64("Number of bytes."),
        createTime=timestamp("When its upload was complete."),
        updateTime=timestamp("When it last changed."),
        expirationTime=timestamp("When it will be deleted."),
        sha256Hash=text("Base64 of the hexadecimal SHA-256 of the bytes; absent for the results of a batch."),
        uri=text("Where this description is."),
        downloadUri=text("Where the bytes are."),
        state=text("ACTIVE"),
        source=text("Where it came from.", enum=["UPLOADED", "GENERATED"]),
    ),
    "CreateFileRequest": message(
        "What a file will be.",
        file=message(
            "All of it may be left out.",
            name=text("`files/{file}`: up to 40 lower-case letters, digits and inner dashes; one is made when absent."),
            displayName=text("A name for people, at most 512 characters."),
            mimeType=text("Any string."),
            sizeBytes=int64("How many bytes will come."),
        ),
    ),
    "CreateFileResponse": message("The file, when its upload is complete.", file=ref("File")),
    "ListFilesResponse": message(
        "A page of files.",
        files=many(ref("File"), "The newest first; absent when there is none."),
        nextPageToken=text("`pageToken` of the next page; absent on the last."),
    ),
}
