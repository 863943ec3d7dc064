"""Pages of the web and sitemaps as sources: a real HTTP server, no collection."""

import gzip
import threading

import pytest

from gemvec.documents import BadDocument, Document, FetchLimits, Filters, Remote, Sources, UnreadDocument
from gemvec.documents.root import Root
from gemvec.documents.scope import find_scope
from gemvec.errors import FailedPrecondition, GemvecError, InvalidRequest, TransportFailure
from site_server import running_site

HTML = "<html><head><title>{0}</title></head><body><main><h1>{0}</h1><p>{1}</p></main></body></html>"
LIMITS = FetchLimits(pause_seconds=0.01, max_pause_seconds=0.01, max_bytes=10_000, step_seconds=5.0)


@pytest.fixture
def remote(tmp_path):
    with Remote(tmp_path / "cache", LIMITS) as opened:
        yield opened


def read(remote, *sources, **options):
    return list(Sources(sources, remote=remote, **options))


def reasons(found):
    return {each.source: each.reason for each in found if isinstance(each, BadDocument)}


def reason_of(found):
    (bad,) = found
    return bad.reason


def test_a_page_is_a_document_with_its_address_as_id(site, remote):
    site.put("/guide", HTML.format("Guide", "Cancel a batch."))
    (found,) = read(remote, f"{site.url}/guide#part")
    assert (found.id, found.source, found.title) == (f"{site.url}/guide", f"{site.url}/guide", "Guide")
    assert "Cancel a batch." in found.text


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (("/notes", "text/markdown", "# Notes\n\nA *text*."), "A *text*."),
        (("/notes.md", "text/plain; charset=utf-8", "# Notes\n\nA text."), "A text."),
        (("/notes.rst", "application/octet-stream", "Notes\n=====\n\nA text."), "A text."),
        (("/notes", None, "<!doctype html><title>N</title><p>A text."), "A text."),
        (("/notes.txt", "text/plain; charset=iso-8859-1", "Gr\xfc\xdfe".encode("latin-1")), "Gr\xfc\xdfe"),
        (("/notes.txt", "text/plain; charset=iso-8859-1", "Gr\xfc\xdfe"), "Gr\xfc\xdfe"),
        (("/notes.txt", "text/plain; charset=shift_jis", "日本".encode("shift_jis")), "日本"),
        (("/notes.html", "text/html; charset=windows-1251", "<p>Привет".encode("cp1251")), "Привет"),
    ],
)
def test_a_page_is_read_by_its_kind_and_its_encoding(site, remote, page, expected):
    path, media_type, body = page
    site.put(path, body, media_type)
    (found,) = read(remote, site.url + path)
    assert expected in found.text


def test_records_of_a_page_are_documents_each(site, remote):
    site.put("/rows.jsonl", '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n', "application/x-ndjson")
    assert [each.id for each in read(remote, f"{site.url}/rows.jsonl")] == [
        f"{site.url}/rows.jsonl#a",
        f"{site.url}/rows.jsonl#b",
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"status": 404}, "404"),
        ({"status": 403}, "403"),
        ({"status": 500}, "500"),
        ({"status": 299}, "299"),
        ({"media_type": "image/png"}, "no reader for image/png"),
        ({"media_type": "application/xml"}, "no reader for application/xml"),
        ({"body": "x" * 10_001}, "10,000"),
        ({"body": gzip.compress(b"x" * 10_001), "Content_Encoding": "gzip"}, "10,000"),
        ({"body": "no gzip at all", "Content_Encoding": "gzip"}, "not gzip"),
        ({"body": gzip.compress(b"<p>A text.")[:-9], "Content_Encoding": "gzip"}, "its end is missing"),
        ({"body": "x", "Content_Encoding": "br"}, "'br'"),
        ({"body": b"a\0b", "media_type": "text/plain"}, "NUL"),
        ({"status": 302, "Location": "http://127.0.0.2:9/secret"}, "another host, 127.0.0.2:9"),
        ({"status": 302, "Location": "http://169.254.169.254/latest"}, "another host, 169.254.169.254"),
        ({"status": 302, "Location": "file:///etc/passwd"}, "not an address of the web"),
        ({"status": 302, "Location": "/page"}, "redirects more than"),
        ({"status": 304}, "has not changed"),
    ],
)
def test_a_page_that_is_not_read_says_why(site, remote, options, reason):
    site.put("/page", options.pop("body", "text"), options.pop("media_type", "text/html"), **options)
    found = read(remote, f"{site.url}/page")
    assert reason in reason_of(found)
    assert found[0].id == f"{site.url}/page"


def test_only_a_page_that_the_server_says_is_not_there_is_gone(site, remote):
    site.put("/gone", "x", status=410)
    site.put("/away", "x", status=503)
    site.put("/closed", "x", status=403)
    found = read(remote, *(f"{site.url}/{name}" for name in ("gone", "away", "closed")))
    assert [each.is_gone for each in found] == [True, False, False]


def test_a_page_of_another_kind_than_its_name_promises_is_refused(site, remote):
    site.put("/manual.pdf", HTML.format("Log in", "Your name?"))
    assert "the server sent a web page" in reason_of(read(remote, f"{site.url}/manual.pdf"))


def test_a_server_that_fails_is_asked_again(site, remote):
    site.put("/page", "x", status=503, Retry_After="0")
    assert "503" in reason_of(read(remote, f"{site.url}/page"))
    assert site.take_asked() == [("/page", 503)] * LIMITS.attempts


def test_a_server_that_is_not_there_costs_its_page(site, remote):
    site.put("/page", HTML.format("Here", "A text."))
    with running_site() as other:
        gone = f"{other.url}/page"
    found = read(remote, gone, f"{site.url}/page")
    assert list(reasons(found)) == [gone]
    assert [each.title for each in found if isinstance(each, Document)] == ["Here"]


def test_a_redirect_on_the_same_host_is_followed_and_the_id_stays(site, remote):
    site.put("/old", "", status=301, Location="/new")
    site.put("/new", HTML.format("New", "A text."))
    (found,) = read(remote, f"{site.url}/old")
    assert (found.id, found.title) == (f"{site.url}/old", "New")


def test_credentials_go_to_their_own_server_and_nowhere_else(site, remote):
    site.put("/page", HTML.format("Page", "A text."))
    with running_site() as other:
        other.put("/page", HTML.format("Other", "A text."))
        found = read(remote, f"http://user:hidden@{site.host}/page", f"{other.url}/page")
        assert site.authorizations == ["Basic dXNlcjpoaWRkZW4="]
        assert other.authorizations == [None]
    assert [each.id for each in found] == [f"{site.url}/page", f"{other.url}/page"]
    assert "hidden" not in repr(found)


def test_a_sitemap_stands_for_its_pages(site, remote):
    site.put_sitemap("/a", "/b", "/a")
    for name in "ab":
        site.put(f"/{name}", HTML.format(name, "A text."))
    found = read(remote, f"{site.url}/sitemap.xml")
    assert [(each.title, each.metadata["sitemap"]) for each in found] == [
        ("a", f"{site.url}/sitemap.xml"),
        ("b", f"{site.url}/sitemap.xml"),
    ]


def test_sitemaps_name_sitemaps_packed_or_as_lines_of_text(site, remote):
    site.put_sitemap("/deep.xml", "/lines.txt", "/packed.xml.gz", at="/sitemap_index.xml", kind="sitemap")
    site.put_sitemap("/a", at="/deep.xml")
    site.put("/lines.txt", f"{site.url}/b\n{site.url}/c\n", "text/plain")
    site.put_sitemap("/d", at="/packed.xml.gz")
    site.pages["/packed.xml.gz"].body = gzip.compress(site.pages["/packed.xml.gz"].body)
    for name in "abcd":
        site.put(f"/{name}", HTML.format(name, "A text."))
    found = read(remote, f"{site.url}/sitemap_index.xml")
    assert sorted(each.title for each in found) == ["a", "b", "c", "d"]


def test_what_a_sitemap_names_and_is_not_read_is_counted(site, remote):
    site.put("/robots.txt", "User-agent: *\nDisallow: /private/\n", "text/plain")
    site.put_sitemap("/a", "/private/b", "/logo.png", "https://example.org/c", "/drafts/d", "file:///x")
    site.put("/a", HTML.format("a", "A text."))
    filters = Filters(exclude=("drafts/",))
    sources = Sources([f"{site.url}/sitemap.xml"], remote=remote, filters=filters)
    assert [each.id for each in sources] == [f"{site.url}/a"]
    assert dict(sources.left_out.files) == {".png": 1}
    assert sum(sources.left_out.ignored.values()) == 4
    assert sources.left_out.ignored["robots.txt"] == 1
    assert sources.left_out.ignored["being on another site"] == 1


def test_no_more_pages_than_asked_for_are_read_and_nothing_is_taken_for_gone(site, tmp_path):
    site.put_sitemap("/a", "/b", "/c")
    for name in "abc":
        site.put(f"/{name}", HTML.format(name, "A text."))
    with Remote(tmp_path, FetchLimits(max_pages=2)) as remote:
        sources = Sources([f"{site.url}/sitemap.xml"], remote=remote)
        found = list(sources)
    assert [each.title for each in found if isinstance(each, Document)] == ["a", "b"]
    assert reasons(found) == {f"{site.url}/sitemap.xml": "1 of its pages are not read, because --max-pages is 2"}
    assert sources.scopes == []


@pytest.mark.parametrize("inner", ["/missing.xml", "/page.xml", "http://127.0.0.2:9/sitemap.xml", "/damaged.xml"])
def test_a_sitemap_that_cannot_be_read_is_reported_and_nothing_is_taken_for_gone(site, remote, inner):
    site.put_sitemap(inner, "/good.xml", at="/sitemap.xml", kind="sitemap")
    site.put_sitemap("/a", at="/good.xml")
    site.put("/page.xml", "<rss/>", "application/xml")
    site.put("/damaged.xml", "<urlset><url>", "application/xml")
    site.put("/a", HTML.format("a", "A text."))
    sources = Sources([f"{site.url}/sitemap.xml"], remote=remote)
    found = list(sources)
    assert [each.title for each in found if isinstance(each, Document)] == ["a"]
    assert list(reasons(found)) == [inner if "://" in inner else site.url + inner]
    assert sources.scopes == []


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><urlset><url><loc>&a;</loc></url></urlset>',
        "<urlset><url><loc>http://x/",
        "<urlset></urlset>",
    ],
)
def test_a_sitemap_that_is_damaged_or_empty_is_refused(site, remote, body):
    site.put("/sitemap.xml", body, "application/xml")
    with pytest.raises(FailedPrecondition, match="sitemap"):
        read(remote, f"{site.url}/sitemap.xml")


@pytest.mark.parametrize(
    ("status", "kind"), [(404, InvalidRequest), (403, FailedPrecondition), (503, TransportFailure)]
)
def test_a_sitemap_that_does_not_come_is_refused(site, remote, status, kind):
    site.put("/sitemap.xml", "x", status=status)
    with pytest.raises(kind, match=r"sitemap\.xml"):
        read(remote, f"{site.url}/sitemap.xml")


def test_a_site_whose_robots_txt_does_not_come_is_not_read(site, remote):
    site.put_sitemap("/a")
    site.put("/robots.txt", "x", status=503)
    with pytest.raises(TransportFailure, match=r"robots\.txt"):
        read(remote, f"{site.url}/sitemap.xml")


def test_pages_that_lead_to_a_login_are_read_once(site, remote):
    site.put_sitemap("/a", "/b", "/c")
    for name in "abc":
        site.put(f"/{name}", "", status=302, Location=f"/login?from={name}")
        site.put(f"/login?from={name}", HTML.format("Log in", "Your name?"))
    found = read(remote, f"{site.url}/sitemap.xml")
    assert list(reasons(found)) == [f"{site.url}/b", f"{site.url}/c"]


def test_a_page_named_by_itself_and_by_a_sitemap_is_read_once(site, remote):
    site.put_sitemap("/a")
    site.put("/a", HTML.format("a", "A text."))
    assert len(read(remote, f"{site.url}/a", f"{site.url}/sitemap.xml", f"{site.url}/a")) == 1


@pytest.mark.parametrize(
    ("headers", "answers"),
    [({"ETag": '"1"'}, [200, 304]), ({"Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT"}, [200, 304]), ({}, [200, 200])],
)
def test_an_unchanged_page_is_neither_sent_nor_parsed_again(site, remote, headers, answers):
    site.put("/page", HTML.format("Page", "A text."))
    site.pages["/page"].headers = headers
    hashes = []
    for _ in range(2):
        (found,) = Sources([f"{site.url}/page"], remote=remote).unread()
        assert isinstance(found, UnreadDocument)
        hashes.append(found.hash("v"))
    assert hashes[0] == hashes[1]
    assert [status for _, status in site.take_asked()] == answers
    document = found.read()
    assert document.hash("v") == hashes[0]
    assert "A text." in document.text


def test_a_changed_page_is_another_one(site, remote):
    hashes = set()
    for number in "12":
        site.put("/page", HTML.format("Page", number), ETag=number)
        (found,) = Sources([f"{site.url}/page"], remote=remote).unread()
        hashes.add(found.hash("v"))
    assert len(hashes) == 2


def test_notes_of_pages_hold_no_secret(site, remote, tmp_path):
    site.put("/page?token=hidden", HTML.format("Page", "A text."), ETag='"1"')
    (found,) = read(remote, f"http://user:word@{site.host}/page?token=hidden")
    assert found.id == f"{site.url}/page"
    (note,) = (tmp_path / "cache" / "pages").iterdir()
    assert b"hidden" not in note.read_bytes()
    assert b"word" not in note.read_bytes()


def test_closing_ends_what_waits_for_a_silent_server(site, tmp_path):
    site.put("/page", "x", X_Stall="yes")
    with Remote(tmp_path) as remote:
        found = []
        reader = threading.Thread(target=lambda: found.extend(read(remote, f"{site.url}/page")))
        reader.start()
        assert site.stalled.wait(30)
    reader.join(30)
    assert "the run was ended" in reason_of(found)


def test_a_silent_server_is_given_up(site, tmp_path):
    site.put("/page", "x", X_Stall="yes")
    with Remote(tmp_path, FetchLimits(step_seconds=0.1, attempts=1)) as remote:
        assert "silent for 0.1 s" in reason_of(read(remote, f"{site.url}/page"))


@pytest.mark.parametrize(
    ("source", "of", "sitemap", "held"),
    [
        ("https://h/a", "https://h/a", "", True),
        ("https://h/", "https://h/a", "", False),
        ("https://h/sitemap.xml", "https://h/a", "https://h/sitemap.xml", True),
        ("https://h/sitemap.xml", "https://h/a", "https://h/other.xml", False),
        ("https://h/sitemap.xml", "docs/a.md", "https://h/sitemap.xml", False),
        ("s3://b/docs", "s3://b/docs/a.md", "", True),
        ("s3://b/docs", "s3://b/docs2/a.md", "", False),
        ("s3://b", "s3://b/docs/a.md", "", True),
        ("https://h/x.git", "https://h/x.git/README.md", "", True),
        ("https://h/x.git", "https://h/x.git@dev/README.md", "", False),
        ("https://h/x.git@dev", "https://h/x.git@dev/README.md", "", True),
    ],
)
def test_a_scope_holds_what_its_address_stands_for(tmp_path, source, of, sitemap, held):
    scope = find_scope(source, Root.of(tmp_path))
    assert scope.holds(of, {"sitemap": sitemap}) is held
    assert not find_scope(".", Root.of(tmp_path)).holds(of if "://" in of else "https://h/")


@pytest.mark.parametrize(
    ("page", "language", "code", "held"),
    [
        ("app.py", "Python", None, False),
        ("app.py", "Python", False, True),
        ("index.php", None, None, True),  # a page that a program makes
        ("index.php", "en", None, True),
    ],
)
def test_a_run_that_is_told_nothing_about_code_prunes_no_page_of_code(tmp_path, page, language, code, held):
    site = "https://h/sitemap.xml"
    scope = find_scope(site, Root.of(tmp_path), Filters(code=code))
    assert scope.holds(f"https://h/{page}", {"sitemap": site, "language": language}) is held


def test_an_unknown_scheme_is_refused_by_name(remote):
    with pytest.raises(GemvecError, match="ticket://, which is not read"):
        read(remote, "ticket://7")
