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
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
    )
    content = (
        f"<office:document-content {names}><office:body><office:text>{body}</office:text></office:body>"
        "</office:document-content>"
    )
    return make_archive({"content.xml": content} | more)
