"""E-mail and messages of Outlook: what a reader sees is read, what is left out is named, what is locked is refused."""

import struct
from datetime import UTC, datetime
from email.message import EmailMessage
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest
from compressed_rtf import compress

from gemvec.documents import BadDocument, Sources, mail, outlook
from gemvec.documents.mail import read_eml
from gemvec.documents.readers import find_reader
from gemvec.documents.text import UnreadableDocument
from outlook_files import make_msg, make_ole

CLASS, SUBJECT, HEADERS, SENT = 0x001A, 0x0037, 0x007D, 0x0039
SENDER, SENDER_ADDRESS, BODY, RTF, HTML = 0x0C1A, 0x0C1F, 0x1000, 0x1009, 0x1013
NAME, ADDRESS, KIND, DATA, EMBEDDED, FILE_NAME, HIDDEN = 0x3001, 0x3003, 0x0C15, 0x3701, 0x3701, 0x3707, 0x7FFE
CODEPAGE, BODY_CODEPAGE, LOCALE = 0x3FFD, 0x3FDE, 0x3FF1
NAMED = b"Subject: S\nContent-Type: text/plain; charset=%s\n\n"
RUSSIAN = "Отчёт за третий квартал готов, смотрите ниже. Вопросы присылайте до пятницы."


def read(name, data):
    return find_reader(Path(name)).read(data if isinstance(data, bytes) else data.encode())


def reasons(made):
    return [note.reason for note in made.notes]


def test_an_outlook_message_gives_subject_body_and_headers_and_names_its_attachments():
    data = make_msg(
        {
            CLASS: "IPM.Note",
            SUBJECT: "Größe der Bücher",
            SENT: datetime(2024, 11, 1, 10, tzinfo=UTC),
            SENDER: "Ann",
            SENDER_ADDRESS: "ann@example.org",
            BODY: "Hello there.\r\n\r\nA long line. " + "More of it. " * 500,
        },
        attachments=[
            {FILE_NAME: "x.pdf", DATA: b"%PDF" * 3000},
            {NAME: "An older message", EMBEDDED: {SUBJECT: "An older message", BODY: "Inner"}},
            {FILE_NAME: "logo.png", DATA: b"PNG", HIDDEN: 1},
        ],
        receivers=[
            {KIND: 1, NAME: "Bob", ADDRESS: "bob@example.org"},
            {KIND: 1, NAME: "Cy", ADDRESS: "/O=FIRM/CN=CY"},
            {KIND: 2, NAME: "dee@example.org", ADDRESS: "dee@example.org"},
        ],
    )
    made = read("a.msg", data)
    assert made.title == "Größe der Bücher"
    assert made.text.startswith("Hello there.\n\nA long line. More of it. ")
    assert made.text.count("More of it.") == 500
    assert made.metadata == {
        "from": "Ann <ann@example.org>",
        "to": "Bob <bob@example.org>, Cy",
        "cc": "dee@example.org",
        "date": "2024-11-01T10:00:00+00:00",
    }
    assert reasons(made) == [
        "its attachment 'x.pdf' is left out",
        "its attachment 'An older message' is left out",
    ]
    assert all(note.is_loss for note in made.notes)


def test_headers_of_an_outlook_message_are_read_as_those_of_other_mail():
    sent = (
        "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nTo: a@example.org\r\nDate: Fri, 1 Nov 2024 10:00:00 +0100\r\n"
    )
    made = read("a.msg", make_msg({SUBJECT: "S", BODY: "Text", HEADERS: sent, SENDER: "Somebody else"}))
    assert made.metadata == {
        "from": "Jürgen <j@example.org>",
        "to": "a@example.org",
        "date": "2024-11-01T10:00:00+01:00",
    }


@pytest.mark.parametrize("body", ["<h1>Größe</h1><p>Text</p>", "<meta charset=utf-8><h1>Größe</h1><p>Text</p>"])
def test_an_outlook_message_of_html_only_is_read_as_a_page(body):
    codepage = {} if "meta" in body else {BODY_CODEPAGE: 65001}
    assert read("a.msg", make_msg({HTML: body.encode(), **codepage})).text == "# Größe\n\nText"


@pytest.mark.parametrize("codepage", [1251, 20866, 10007])
def test_text_that_is_not_unicode_is_read_in_its_code_page(codepage):
    encoding = {1251: "cp1251", 20866: "koi8-r", 10007: "mac-cyrillic"}[codepage]
    made = read("a.msg", make_msg({CODEPAGE: codepage, SUBJECT: (encoding, "Отчёт"), BODY: (encoding, RUSSIAN)}))
    assert (made.title, made.text, made.notes) == ("Отчёт", RUSSIAN, ())


@pytest.mark.parametrize(
    ("properties", "encoding", "text"),
    [
        ({BODY_CODEPAGE: 65001, LOCALE: 1031}, "cp1252", "Größe der Bücher"),
        ({BODY_CODEPAGE: 1251, LOCALE: 1049}, "cp1251", "Отчёт"),
        ({BODY_CODEPAGE: 950, LOCALE: 1028}, "cp950", "格式測試"),
        ({LOCALE: 2052}, "cp936", "格式测试"),
        ({LOCALE: 1041}, "cp932", "会議の資料"),
        ({LOCALE: 1045}, "cp1250", "zażółć gęślą"),
        ({CODEPAGE: 1252, BODY_CODEPAGE: 1252}, "utf-8", "Größe der Bücher"),
        ({CODEPAGE: 1252, BODY_CODEPAGE: 20127}, "cp1252", "Größe der Bücher"),
        ({CODEPAGE: 1200}, "utf-16-le", "Words"),
    ],
)
def test_text_is_read_in_the_first_encoding_that_a_message_names_and_it_can_be_in(properties, encoding, text):
    made = read("a.msg", make_msg({**properties, SUBJECT: (encoding, text), BODY: (encoding, text)}))
    assert (made.title, made.text, made.notes) == (text, text, ())


@pytest.mark.parametrize("codepage", [1252, 20127, 65001, 28591])
def test_a_page_in_a_message_loses_no_letter_where_the_message_names_another_encoding(codepage):
    page = '<meta charset="utf-8"><p>Größe der Bücher</p>'.encode()
    assert read("a.msg", make_msg({SUBJECT: "S", BODY_CODEPAGE: codepage, HTML: page})).text == "Größe der Bücher"


@pytest.mark.parametrize("codepage", [{}, {CODEPAGE: 0}, {CODEPAGE: 710}])
def test_text_in_an_unknown_code_page_is_guessed_and_said(codepage):
    made = read("a.msg", make_msg({**codepage, SUBJECT: "S", BODY: ("cp1251", RUSSIAN)}))
    assert made.text == RUSSIAN
    assert reasons(made) == ["its encoding is a guess: windows-1251"]


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb"{\rtf1\ansi\ansicpg1252\fromtext\pard Gr\'fc\'dfe\par}", "Grüße"),
        (rb"{\rtf1\ansi\fromhtml1{\*\htmltag64 <h1>}\htmlrtf\b\htmlrtf0 One{\*\htmltag72 </h1>}}", "# One"),
    ],
)
def test_text_that_is_only_there_as_compressed_rtf_is_read(written, text, is_packed):
    made = read("a.msg", make_msg({SUBJECT: "S", RTF: compress(written, compressed=is_packed)}))
    assert (made.text, made.notes) == (text, ())


@pytest.mark.parametrize("packed", [b"LZFu" * 10, b"x", compress(rb"{\rtf1 Text}")[:-1] + b"\0"])
def test_compressed_rtf_that_is_damaged_or_too_large_is_said(monkeypatch, packed):
    with pytest.raises(UnreadableDocument, match="compressed RTF, which is damaged"):
        read("a.msg", make_msg({SUBJECT: "S", RTF: packed}))
    monkeypatch.setattr(outlook, "_MAX_PACKED_BYTES", 0)
    with pytest.raises(UnreadableDocument, match="bytes as compressed RTF, more than 0; split it"):
        read("a.msg", make_msg({SUBJECT: "S", RTF: packed}))


def test_a_signed_outlook_message_is_read_and_an_encrypted_one_refused():
    inner = EmailMessage()
    inner.set_content("The signed text.")
    inner.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="x.pdf")
    signed = b'Content-Type: multipart/signed; boundary="s"\n\n--s\n' + inner.as_bytes()
    signed += b"\n--s\nContent-Type: application/pkcs7-signature\n\nabc\n--s--\n"
    values = {CLASS: "IPM.Note.SMIME.MultipartSigned", SUBJECT: "Signed"}
    made = read("a.msg", make_msg(values, attachments=[{DATA: signed, FILE_NAME: "smime.p7m"}]))
    assert (made.title, made.text.strip()) == ("Signed", "The signed text.")
    assert reasons(made) == ["its attachment 'x.pdf' is left out"]
    locked = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nabc"
    for content, reason in [(locked, "encrypted"), (b"", "encrypted or signed")]:
        with pytest.raises(UnreadableDocument, match=reason):
            read("a.msg", make_msg({CLASS: "IPM.Note.SMIME"}, attachments=[{DATA: content}]))
    with pytest.raises(UnreadableDocument, match="rights management"):
        read("a.msg", make_msg({BODY: "Protected"}, attachments=[{FILE_NAME: "message.rpmsg"}]))


def test_damaged_outlook_messages_and_other_compound_files_are_named(tmp_path):
    whole = make_msg({SUBJECT: "S", BODY: "Text " * 2000})
    bomb = bytearray(make_ole({f"s{n}": bytes(5000) for n in range(40)}))
    entries = [place for place in range(0, len(bomb), 128) if bomb[place : place + 4] == b"s\x001\x00"]
    for place in entries:  # streams that say they are longer than the whole file
        bomb[place + 120 : place + 124] = struct.pack("<I", 2**31)
    files = {
        "half.msg": whole[:1000],
        "text.msg": b"string name\n",
        "empty.msg": b"",
        "word.msg": make_ole({"WordDocument": b"x"}),
        "bomb.msg": bytes(bomb),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = {each.source: each for each in Sources([str(tmp_path)], root=tmp_path)}
    assert set(found) == set(files)
    for each in found.values():
        assert isinstance(each, BadDocument)
        assert each.reason.startswith("it is not an Outlook message: ")


def test_all_text_that_a_mail_shows_is_read_and_all_attachments_are_named():
    inner = EmailMessage()
    inner["Subject"] = "Forwarded"
    inner.set_content("Inner")
    message = EmailMessage()
    message["Subject"] = "S"
    message.set_content("The body.")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="x.pdf")
    outer = EmailMessage()
    outer["Subject"] = "Outer"
    outer.make_mixed()
    outer.attach(message)
    footer = EmailMessage()
    footer.set_content("The footer of the list.")
    outer.attach(footer)
    outer.add_attachment(inner)
    made = read("a.eml", outer.as_bytes())
    assert made.text.split() == ["The", "body.", "The", "footer", "of", "the", "list."]
    assert reasons(made) == ["its attachment 'x.pdf' is left out", "its attachment 'Forwarded' is left out"]


def test_of_alternatives_the_first_one_with_text_is_read():
    outer = EmailMessage()
    outer["Subject"] = "S"
    outer.set_content(" \n")
    outer.add_alternative("<p>The body.</p>", subtype="html")
    assert read("a.eml", outer.as_bytes()).text.strip() == "The body."
    without_header = "Subject: S\nContent-Type: multipart/alternative; boundary=x\n\n--x\n\nThe body.\n--x--\n"
    assert read("a.eml", without_header).text.strip() == "The body."


@pytest.mark.parametrize("disposition", ["", "Content-Disposition: inline; filename=b.txt\n"])
def test_a_body_with_a_name_is_read(disposition):
    body = f'Content-Type: text/plain; name="b.txt"\n{disposition}\nThe body.\n'
    for raw in (body, f"Content-Type: multipart/mixed; boundary=x\n\n--x\n{body}--x--\n"):
        made = read("a.eml", f"Subject: S\nMIME-Version: 1.0\n{raw}")
        assert (made.text.strip(), made.notes) == ("The body.", ())


def test_a_page_below_its_pictures_is_read():
    page = MIMEText("<p>The words of the page.</p>", "html")
    message = MIMEMultipart("related", _subparts=[MIMEImage(b"x", "png"), page])
    assert read_eml(message.as_bytes()).text.strip() == "The words of the page."


def test_mail_whose_parts_cannot_be_told_apart_is_read_as_it_is_and_said():
    mail = read_eml(b"Subject: a\nContent-Type: multipart/mixed\n\nWords without a boundary.\n")
    assert mail.text == "Words without a boundary.\n"
    assert reasons(mail) == ["its parts cannot be told apart, so all of its body is read as text"]


@pytest.mark.parametrize("said", ["", '; boundary="other"', "; boundary"])
def test_parts_of_mail_are_found_without_their_right_boundary_and_that_is_said(said):
    outer = MIMEMultipart("mixed", _subparts=[MIMEText("Größe der Bücher", "plain", "utf-8"), MIMEImage(b"x", "png")])
    outer["Subject"] = "S"
    written = outer.as_bytes()
    boundary = outer.get_boundary()
    assert boundary
    mail = read_eml(written.replace(f'; boundary="{boundary}"'.encode(), said.encode()))
    assert mail.text.strip() == "Größe der Bücher"
    assert reasons(mail) == [
        "the mark between its parts is missing or wrong; the parts were told apart by what looks like one",
        "its attachment 'image/png' is left out",
    ]


@pytest.mark.parametrize("boundary", [b"a\\b", b"a\xffb", "ä".encode()])
def test_a_boundary_that_no_header_can_name_still_tells_parts_apart(boundary):
    part = b"Content-Type: text/plain\n\nWords of a part.\n"
    mail = read_eml(
        b"Subject: S\nContent-Type: multipart/mixed\n\n--" + boundary + b"\n" + part + b"--" + boundary + b"--\n"
    )
    assert mail.text.strip() == "Words of a part."


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoding_of_mail_around_parts_without_a_boundary_does_not_count(encoding):
    head = f"Subject: S\nContent-Type: multipart/mixed\nContent-Transfer-Encoding: {encoding}\n\n"
    mail = read_eml(f"{head}--x\nContent-Type: text/plain\n\nAs a=3D b.\n--x--\n".encode())
    assert mail.text.strip() == "As a=3D b."


def test_of_alternatives_without_their_boundary_the_best_one_is_read():
    outer = MIMEMultipart("alternative", _subparts=[MIMEText("Plain words."), MIMEText("<p>Of a page.</p>", "html")])
    written = outer.as_bytes().replace(f'; boundary="{outer.get_boundary()}"'.encode(), b"")
    assert read_eml(b"Subject: S\n" + written).text.strip() == "Plain words."


def test_parts_in_each_other_without_boundaries_are_parsed_in_bounded_time():
    mail = read_eml(b"Subject: S\n" + b"Content-Type: multipart/mixed\n\n--x\n" * 5_000 + b"\nThe words.")
    assert mail.text.endswith("The words.")


def test_an_attachment_inside_an_alternative_is_named():
    plain = EmailMessage()
    plain.set_content("The body.")
    page = EmailMessage()
    page.set_content("<p>The body.</p>", subtype="html")
    page.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="x.pdf")
    outer = EmailMessage()
    outer["Subject"] = "S"
    outer.make_alternative()
    outer.attach(plain)
    outer.attach(page)
    made = read("a.eml", outer.as_bytes())
    assert (made.text, reasons(made)) == ("The body.\n", ["its attachment 'x.pdf' is left out"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIAG", r"encrypted \(S/MIME\)"),
        ("Content-Type: application/x-pkcs7-mime; smime-type=signed-data\n\nMIAG", "inside a signature"),
        ('Content-Type: multipart/encrypted; boundary="x"\n\n--x\n\nabc\n--x--', r"encrypted \(PGP\)"),
        ("\n-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----", r"encrypted \(PGP\)"),
    ],
)
def test_an_encrypted_mail_is_refused_by_name(content, reason):
    with pytest.raises(UnreadableDocument, match=reason):
        read("a.eml", f"Subject: S\n{content}\n")


@pytest.mark.parametrize(
    ("raw", "title", "text", "guess"),
    [
        ("Subject: Grüße\n\nHallo, schöne Grüße aus Köln\n".encode("latin-1"), "Grüße", "Hallo, schöne Grüße", True),
        (
            b"Subject: S\nContent-Type: text/plain; charset=gb2312\n\n" + "镕基 中文".encode("gbk"),
            "S",
            "镕基 中文",
            False,
        ),
        (
            b"Subject: S\nContent-Type: text/plain; charset=us-ascii\n\n" + "naïve Größe".encode(),
            "S",
            "naïve Größe",
            False,
        ),
        (b"Subject: S\nContent-Type: text/plain; charset=latin-1\n\n" + "x\x93y".encode("latin-1"), "S", "x“y", False),
        (b"Subject: S\nContent-Type: text/html\n\n<p>" + RUSSIAN.encode("koi8-r"), "S", RUSSIAN, True),
    ],
)
def test_mail_without_a_right_name_of_its_encoding_loses_no_letter(raw, title, text, guess):
    made = read("a.eml", raw)
    assert (made.title, made.text[: len(text)]) == (title, text)
    assert any("encoding is a guess" in reason for reason in reasons(made)) == guess


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_mail_of_very_many_lines_is_refused_before_each_takes_memory(monkeypatch, end):
    monkeypatch.setattr(mail, "_MAX_LINES", 100)
    assert read("a.eml", f"Subject: S{end}{end}" + f"x{end}" * 90).title == "S"
    with pytest.raises(UnreadableDocument, match="it has 202 lines, more than 100"):
        read("a.eml", f"Subject: S{end}{end}" + f"x{end}" * 200)


@pytest.mark.parametrize(
    ("text", "page", "read"),
    [
        ("This mail needs a program for HTML.", "<p>The pump is down until Friday. </p>" * 8, "The pump is down"),
        ("The pump is down.", "<p>The <b>pump</b> is down.</p><p>Sent from Ada's phone</p>", "The pump is down.\n"),
    ],
)
def test_a_notice_in_place_of_a_page_is_not_taken_for_the_text_of_a_mail(text, page, read):
    message = EmailMessage()
    message["Subject"] = "Pumps"
    message.set_content(text)
    message.add_alternative(page, subtype="html")
    assert read_eml(message.as_bytes()).text.startswith(read)
