"""The promises, checked while nothing else runs: `check` after each start, `check_ended` at the end.

1. What was answered exists after any crash: files with their bytes, uploads with what was acknowledged, batches with
   their input, keys with their owner. What was deleted or revoked stays so.
2. A finished batch has one answer per request, in order, each of its own request.
3. A chunk that is done is not counted again (`Clients` checks that).
4. An ended state never changes, and the counts add up.
5. A request that is malformed or kills the server becomes an error at its place, and the others are computed.
6. Nothing is left over: no bytes without a row, no part of a void claim, no upload without bytes.
"""

from pathlib import Path

import numpy as np
import orjson
from sqlalchemy import select

from gemvec.batches import rows
from gemvec.batches.job import ChunkState
from gemvec.errors import UploadedFileNotFound, UploadNotFound
from gemvec.files.rows import list_content_ids
from gemvec.files.upload import UploadState
from gemvec.storage.places import list_names
from gemvec.storage.schema import uploads
from gemvec.storage.timestamps import utc_now
from gemvec.wire.batches import BatchState
from hash_embedder import vector_of
from simulation.clients import MAYBE, NO, OWNERS, POISON, YES
from simulation.world import Violation

KILLED, REFUSED = 13, 3


def check(clients, store):
    """Check everything that must hold at any moment, and learn what was in doubt."""
    for thing in clients.things:
        if thing.kind == "file":
            _check_file(thing, store)
        elif thing.kind == "upload":
            _check_upload(thing, store)
        elif thing.kind == "key":
            _check_key(thing, store)
    _check_batches(clients, store)


def check_leftovers(place, batches):
    """Check that nothing is in the data folder, or the object store, that no row explains."""
    with batches.database.read() as connection:
        contents = list_content_ids(connection)
        jobs = {each.batch_id: each for owner in OWNERS for each in rows.list_jobs(connection, owner, 10_000, None)}
        chunks = {each.batch_id: rows.list_chunks(connection, each.job_number) for each in jobs.values()}
        active = select(uploads.c.content_id).where(uploads.c.state == UploadState.ACTIVE)
        begun = set(connection.scalars(active))
    there = list_names(place / "files")
    if left := there - contents:
        raise Violation(f"left over in files: {sorted(left)}")
    if isinstance(place, Path) and (lost := begun - there):  # elsewhere they begin with the first bytes
        raise Violation(f"uploads without bytes: {sorted(lost)}")
    for batch_id in list_names(place / "batches"):
        job = jobs.get(batch_id)
        if job is None:
            raise Violation(f"left over in batches: {batch_id}")
        done = [each for each in chunks[batch_id] if each.state is ChunkState.DONE]
        named = {batches.folder.part_path(batch_id, each.chunk_index, each.lease).name for each in done}
        found = list_names(place / "batches" / batch_id) - {"input.jsonl"} - named
        if job.state.is_ended:
            found = {name for name in found if not name.endswith(".errors.jsonl")}
        if found:
            raise Violation(f"left over in batches/{batch_id}: {sorted(found)}")


def check_ended(clients, store):
    """Check that every batch has come to its end."""
    for job in _jobs(store):
        if not job.state.is_ended:
            raise Violation(f"{job.display_name} never ends: {job.state}, {job.waiting_reason}")


def _check_file(thing, store):
    if thing.exists == NO and thing.facts.get("is_forgotten"):
        return
    try:
        store.files.get(thing.name, thing.owner)
    except UploadedFileNotFound:
        if thing.exists == YES and not _has_expired(thing, store):
            raise Violation(f"files/{thing.name} is lost") from None
        thing.exists, thing.facts["is_forgotten"] = NO, True
        return
    if thing.exists == NO:
        raise Violation(f"files/{thing.name} was deleted and is there")
    thing.exists = YES
    content = store.files.open_content(thing.name, thing.owner)
    content.check()
    if b"".join(content.read()) != thing.facts["content"]:
        raise Violation(f"files/{thing.name} has other bytes than were sent")


def _check_upload(thing, store):
    if thing.exists == NO:
        return
    try:
        known = store.files.uploads.get(thing.name)
    except UploadNotFound:
        if not _has_expired(thing, store):
            raise Violation("an upload is lost") from None
        thing.exists = NO
        return
    if known.state is not UploadState.ACTIVE:
        # The next server cancels an upload whose bytes the deposed one has not made yet; its caller begins again.
        if thing.exists == YES and not thing.facts["may_end"]:
            raise Violation(f"an upload is {known.state} by itself")
        thing.exists = NO
        return
    if known.received_bytes < thing.facts["received"]:
        raise Violation(f"an upload lost bytes: {thing.facts['received']} -> {known.received_bytes}")
    on_disk = _stored_bytes(store, known)
    if on_disk != thing.facts["content"][: known.received_bytes]:
        raise Violation("an upload has other bytes than were acknowledged")
    thing.exists = YES


def _check_key(thing, store):
    for each in thing.facts["void"]:
        key = store.keys.find_by_hash(each)
        if key is not None and key.is_usable(utc_now()):
            raise Violation(f"{thing.name} works though it was replaced, revoked or deleted")
    for each in thing.facts["hashes"]:
        key = store.keys.find_by_hash(each)
        if key is None or not key.is_usable(utc_now()):
            raise Violation(f"{thing.name} does not work")
        if key.key_id != thing.owner:
            raise Violation(f"{thing.name} has another owner")


def _check_batches(clients, store):
    found = {job.display_name: job for job in _jobs(store)}
    known = {thing.name: thing for thing in clients.things if thing.kind == "batch"}
    for name, thing in known.items():
        job = found.pop(name, None)
        if job is None:
            if thing.exists == YES:
                raise Violation(f"{name} was accepted and is lost")
            thing.exists = NO
            continue
        if thing.exists == NO:
            raise Violation(f"{name} was deleted and is there")
        thing.exists, thing.facts["batch_id"] = YES, job.batch_id
        _check_batch(thing, job, store)
    if found:
        raise Violation(f"nobody made {sorted(found)}")


def _check_batch(thing, job, store):
    lines = [orjson.loads(each) for each in thing.facts["content"].splitlines()]
    if job.request_count != len(lines):
        raise Violation(f"{thing.name} has {job.request_count} requests, not {len(lines)}")
    if min(job.successful_count, job.failed_count, job.pending_count) < 0:
        raise Violation(f"the counts of {thing.name} do not add up")
    if not store.batches.folder.input_path(job.batch_id).exists():
        raise Violation(f"the input of {thing.name} is lost")
    if not job.state.is_ended:
        return
    end = (job.state, job.successful_count, job.failed_count, job.ended_at, job.output_file_id, job.error_status)
    if "end" not in thing.facts:
        _check_end(thing, job, lines, store)
    elif thing.facts["end"] != end:
        raise Violation(f"the end of {thing.name} changed: {thing.facts['end']} -> {end}")
    thing.facts["end"] = end


def _check_end(thing, job, lines, store):
    if job.state is not BatchState.SUCCEEDED and job.state not in thing.facts["may_be"]:
        raise Violation(f"{thing.name} is {job.state} by itself: {job.error_message}")
    if thing.facts["is_file"]:
        if job.output_file_id is None:
            raise Violation(f"{thing.name} has no results")
        content = store.files.open_content(job.output_file_id, job.owner)
        content.check()
        answers = [orjson.loads(each) for each in b"".join(content.read()).splitlines()]
    else:
        answers = orjson.loads(b"[" + b"".join(store.batches.inline_output(job)()) + b"]")
    if len(answers) != len(lines) or not all(map(_is_of, answers, lines)):
        raise Violation(f"the answers of {thing.name} are not those of its requests")
    with store.database.read() as connection:
        chunks = rows.list_chunks(connection, job.job_number)
    is_suspect = any(each.isolation for each in chunks)
    for answer, line in zip(answers, lines, strict=True):
        _check_answer(thing, job, answer, line["request"]["content"]["parts"][0]["text"], is_suspect=is_suspect)


def _check_answer(thing, job, answer, text, *, is_suspect):
    if "response" in answer:
        if text in {"", POISON}:
            raise Violation(f"{thing.name} has an answer to what has none")
        if not np.array_equal(np.float32(answer["response"]["embedding"]["values"]), vector_of(text)):
            raise Violation(f"{thing.name} has another text's vector")
        return
    expected = {REFUSED} if text == "" else {KILLED} if text == POISON or is_suspect else set()
    if job.state is BatchState.SUCCEEDED and answer["error"]["code"] not in expected:
        raise Violation(f"{thing.name} has an error for {text!r}: {answer['error']}")


def _is_of(answer, line):
    """Whether an answer has its request's key; a line that killed the server is not read again, so it has none."""
    is_killer = "error" in answer and answer["error"]["code"] == KILLED
    return answer.get("key", line["key"] if is_killer else None) == line["key"]


def _has_expired(thing, store):
    return thing.exists == MAYBE or thing.facts.get("may_expire", False)


def _jobs(store):
    with store.database.read() as connection:
        return [job for owner in OWNERS for job in rows.list_jobs(connection, owner, 10_000, None)]


def _stored_bytes(store, upload):
    """Return what is stored of an upload."""
    with store.database.read() as connection:
        content = store.files.uploads._contents.open(connection, upload.content_id, upload.received_bytes)
    return b"".join(content.read())
