"""Mailboxes: a document for each message, whoever wrote the file, however large it is, whatever is in its texts."""

import mailbox
import time
import tracemalloc
from email.message import EmailMessage
from pathlib import Path

import pytest

from gemvec.documents import BadDocument, Sources
from gemvec.documents import mailbox as mailboxes
from gemvec.documents.mailbox import read_mailbox
from gemvec.documents.text import UnreadableDocument

FROM = b"From - Fri Nov 01 10:00:00 2024\n"


def make_mail(number, text, **headers):
    mail = EmailMessage()
    mail["Subject"], mail["From"] = f"Mail {number}", "ann@example.org"
    mail["Message-ID"] = f"<{number}@example.org>"
    mail.set_content(text)
    for name, value in headers.items():
        mail[name] = value
    return mail


def write(path, *mails):
    box = mailbox.mbox(path)
    for each in mails:
        box.add(each)
    box.close()
    return path


def read(path):
    return list(Sources([str(path)], root=path.parent))


def test_each_message_of_a_mailbox_is_a_document_with_its_own_id_and_headers(tmp_path):
    second = make_mail(2, "Größe\n", To="bob@example.org")
    second.add_attachment(b"x", maintype="application", subtype="pdf", filename="x.pdf")
    path = write(tmp_path / "a.mbox", make_mail(1, "Hello.\n\nFrom here on, it is easy.\n"), second)
    assert b"\n>From here on" in path.read_bytes()
    one, two = read(path)
    assert (one.id, one.title, one.place) == ("a.mbox#1@example.org", "Mail 1", "message 1")
    assert one.text == "Hello.\n\nFrom here on, it is easy.\n"
    assert one.metadata == {"from": "ann@example.org"}
    assert (two.text, two.metadata["to"]) == ("Größe\n", "bob@example.org")
    assert [(note.reason, note.place) for note in two.notes] == [("its attachment 'x.pdf' is left out", "message 2")]
    assert two.read_bytes == path.stat().st_size


@pytest.mark.parametrize(
    "start",
    [
        b"From ann@example.org Fri Nov  1 10:00:00 2024\n",
        b"From 1781234567890123456@xxx Fri Nov 01 10:00:00 +0000 2024\n",
        b"From ann at example.org  Fri Nov  1 10:00:00 2024\n",
        b"From - Fri Nov 01 10:00:00 2024\r\n",
        b"From nobody\n",
    ],
)
def test_messages_are_told_apart_as_mail_programs_write_them(tmp_path, start):
    end = b"\r\n" if start.endswith(b"\r\n") else b"\n"
    message = end.join([b"Subject: S", b"", b"One.", b"", b"From here on: easy.", b"", b"From where, then?", b""])
    path = tmp_path / "a.mbox"
    path.write_bytes((start + message + end) * 3)
    found = read(path)
    assert [each.place for each in found] == ["message 1", "message 2", "message 3"]
    assert all("From where" in each.text and "easy." in each.text for each in found)


def test_ids_that_differ_in_bytes_that_are_no_utf_8_are_different(tmp_path):
    path = tmp_path / "a.mbox"
    ids = [b"1\xe4@a", b"1\xf6@a", "1ä@a".encode(), b"1\\xe4@a", b"2@a", b"\xe4" * 299, b"\xe4" * 300]
    path.write_bytes(b"".join(FROM + b"Message-ID: <" + each + b">\nSubject: S\n\nText.\n\n" for each in ids))
    messages = read(path)
    assert not any(isinstance(each, BadDocument) for each in messages)
    found = [each.id for each in messages]
    assert len(set(found)) == len(ids)
    assert found[:3] == [r"a.mbox#1\xe4@a", r"a.mbox#1\xf6@a", "a.mbox#1ä@a"]
    assert found[4] == "a.mbox#2@a"


def test_ids_stay_when_messages_come_and_go(tmp_path):
    path = tmp_path / "a.mbox"
    bare, other = b"Subject: bare\n\nText.\n\n", b"Message-ID: <1@a>\nSubject: other\n\nText.\n\n"
    first = b"Message-ID: <1@a>\nSubject: S\n\nText.\n\n"
    path.write_bytes(FROM + first + FROM + bare + FROM + other)
    before = {each.title: each.id for each in read(path)}
    assert before["S"] == "a.mbox#1@a"
    assert len(set(before.values())) == 3
    path.write_bytes(FROM + b"Subject: new\n\nText.\n\n" + FROM + first + FROM + other + FROM + bare)
    after = {each.title: each.id for each in read(path)}
    assert {name: after[name] for name in before} == before


def test_a_message_that_cannot_be_read_costs_itself(tmp_path, monkeypatch):
    path = tmp_path / "a.mbox"
    secret = b"Message-ID: <2@a>\nContent-Type: multipart/encrypted; boundary=x\n\n--x--\n\n"
    mails = [
        b"Subject: one\n\nOne.\n\n",
        secret,
        b"Subject: long\n\n" + b"word\n" * 100 + b"\n",
        b"Subject: 4\n\nFour.\n\n",
    ]
    path.write_bytes(b"".join(FROM + each for each in mails))
    monkeypatch.setattr(mailboxes, "MAX_FILE_BYTES", 300)
    one, bad, large, four = read(path)
    assert (one.text.strip(), four.text.strip(), four.place) == ("One.", "Four.", "message 4")
    assert isinstance(bad, BadDocument)
    assert (bad.id, bad.place, bad.reason) == ("a.mbox#2@a", "message 2", "it is encrypted (PGP)")
    assert (large.place, large.reason) == (
        "message 3",
        "it has 516 bytes, more than 300, which would take much memory",
    )


def test_a_file_that_is_no_mailbox_is_said(tmp_path):
    path = tmp_path / "a.mbox"
    path.write_bytes(b"\nSome text.\n")
    with pytest.raises(UnreadableDocument, match="it is not a mailbox"):
        list(read_mailbox(path, path.name))
    assert read(path)[0].reason.startswith("it is not a mailbox")


def test_a_large_mailbox_is_not_held_in_memory(tmp_path):
    path = tmp_path / "a.mbox"
    message = b"Message-ID: <%d@a>\nSubject: S\n\n" + b"word " * 14 + b"\n" + b"and words\n" * 100 + b"\n"
    with path.open("wb") as file:
        for number in range(4_000):
            file.write(FROM + message % number)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_mailbox(path, path.name)) == 4_000
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    finally:
        tracemalloc.stop()


def test_a_line_of_many_times_takes_no_time(tmp_path):
    path = tmp_path / "a.mbox"
    path.write_bytes(FROM + b"Subject: one\n\nText.\nFrom " + b"1:11 " * 200_000 + b"\nto: now\n")
    start = time.process_time()
    assert len(read(path)) == 1
    assert time.process_time() - start < 5


def test_lines_without_an_end_are_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(mailboxes, "_MAX_LINE_BYTES", 16)
    path = Path(tmp_path / "a.mbox")
    path.write_bytes(FROM[:15] + b"\n" + b"Subject: one\n\n" + b"x" * 16 + b"From no: start\n" + b"\n")
    (found,) = read(path)
    assert "xFrom no: start" in found.text
