"""Office files for the tests: `make_archive`, `make_odt`, `saved`."""

from __future__ import annotations

import io
import zipfile


def saved(document):
    """Return the bytes of a document of python-docx, python-pptx or openpyxl."""
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def make_archive(parts):
    """Return a zip archive with these parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


def make_odt(body, **more):
    """Return an OpenDocument text with this body."""
    return make_archive({"content.xml": write_opendocument("text", body)} | more)


def write_opendocument(kind, body, styles="", root="document-content"):
    """Return the XML of an OpenDocument: a `text`, a `spreadsheet` or a `presentation`."""
    names = ("office", "text", "table", "style", "presentation", "chart")
    spaces = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names)
    return (
        f'<office:{root} {spaces} xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{styles}<office:body><office:{kind}>{body}</office:{kind}></office:body></office:{root}>"
    )
