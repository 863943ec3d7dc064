"""Sources that are not files, as users write them."""

import pytest

from gemvec.documents.address import is_address, parse_address
from gemvec.errors import InvalidRequest


@pytest.mark.parametrize(
    ("source", "kind", "url", "ref"),
    [
        ("s3://bucket", "bucket", "s3://bucket", ""),
        ("s3://bucket/docs/", "bucket", "s3://bucket/docs", ""),
        ("gs://bucket/a b", "bucket", "gs://bucket/a b", ""),
        ("https://Example.org", "web", "https://example.org/", ""),
        ("HTTPS://example.org:443/a#part", "web", "https://example.org/a", ""),
        ("http://example.org:8080/ä?q=1", "web", "http://example.org:8080/%C3%A4?q=1", ""),
        ("https://bücher.example/", "web", "https://xn--bcher-kva.example/", ""),
        ("https://example.org/a%20b", "web", "https://example.org/a%20b", ""),
        ("http://[::1]:8000/", "web", "http://[::1]:8000/", ""),
        ("https://example.org/team/docs.git", "repository", "https://example.org/team/docs.git", ""),
        ("https://example.org/docs.git@v1/x", "repository", "https://example.org/docs.git@v1/x", "v1/x"),
        ("git+https://example.org/docs@main", "repository", "https://example.org/docs@main", "main"),
        ("git@example.org:team/docs.git", "repository", "ssh://example.org/team/docs.git", ""),
        ("file:///srv/docs.git", "repository", "file:///srv/docs.git", ""),
    ],
)
def test_an_address_has_one_form(source, kind, url, ref):
    found = parse_address(source)
    assert is_address(source)
    assert (found.kind, found.url, found.ref) == (kind, url, ref)


@pytest.mark.parametrize("source", ["docs", "docs/*.md", "-", "C://docs", "mailto:x@example.org", "a:b.git", "x@y"])
def test_a_path_is_no_address(source):
    assert not is_address(source)


@pytest.mark.parametrize(
    "source",
    [
        "ftp://user:hidden@example.org/x",
        "ftp://user:hidden/but/a/slash@example.org/x",
        "s3://",
        "s3://user:hidden@bucket/x",
        "https://",
        "https://example.org:port/",
        "https://user:hidden@example.org/docs.git?x=hidden",
        "https://example.org/docs.git@-upload-pack=hidden?hidden",
        "file:///srv/page.html",
    ],
)
def test_an_address_that_is_not_read_is_refused_without_its_secrets(source):
    with pytest.raises(InvalidRequest) as caught:
        parse_address(source)
    assert caught.value.field == "source"
    assert "hidden@" not in caught.value.message
    assert "?" not in caught.value.message


@pytest.mark.parametrize(
    "source",
    [
        "https://user:hidden@example.org/page",
        "https://hidden@example.org/docs.git",
        "git+https://user:hidden@example.org/docs@main",
        "https://example.org/page?token=hidden&page=2",
        "https://example.org/page?X-Amz-Signature=hidden",
        "https://example.org/page?api_key=hidden",
    ],
)
def test_a_secret_is_neither_in_an_id_nor_in_what_is_printed(source):
    found = parse_address(source)
    assert "hidden" not in found.url + repr(found)
    assert "hidden" in found.location + found.credentials
