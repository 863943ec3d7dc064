"""The store of batches, on SQLite and PostgreSQL: what was accepted stays, and is its owner's alone."""

import contextlib
from datetime import timedelta
from functools import partial

import orjson
import pytest
from sqlalchemy import func, select

from batch_steps import file_answers, inline_answers, line, new
from gemvec.batches import results
from gemvec.batches.job import ChunkResult
from gemvec.batches.queue import BatchQueue, Claimable, ToDo
from gemvec.batches.store import BatchStore
from gemvec.errors import (
    BatchNotCancellable,
    BatchNotFound,
    DataLost,
    FailedPrecondition,
    InvalidRequest,
    QuotaExceeded,
    StorageFailure,
    UploadedFileNotFound,
)
from gemvec.files.limits import OwnerLimits
from gemvec.files.store import FileStore
from gemvec.storage.pages import format_page_token
from gemvec.storage.schema import chunks, files, jobs
from gemvec.storage.timestamps import utc_now
from gemvec.wire.batches import BatchState, BatchUpdate

ANY = Claimable(weights=["hash@12345678"])
INT64 = (-(2**63), 2**63 - 1)


def work_off(store, *, most=1000):
    """Claim and checkpoint chunks with made-up answers until there is no work; return the tasks."""
    queue = BatchQueue(store)
    tasks = []
    while len(tasks) < most and (task := queue.claim(ANY)):
        task.part_path.write_bytes(b'{"response":{}}\n' * task.request_count)
        result = ChunkResult(successful_count=task.request_count, failed_count=0)
        assert queue.checkpoint(task, result).is_counted
        tasks.append(task)
    return tasks


def count(store, table):
    with store.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def upload(store, content, owner="", **options):
    return store.files.create(owner, [content], **options).file_id


def test_an_inline_batch_is_pending_with_its_counts(any_store):
    job = any_store.create_inline(new(display_name="dd", priority=-3), [line("a"), line("b")])
    kept = any_store.get(job.batch_id, "")
    assert kept == job
    assert len(job.batch_id) == 36
    assert (kept.state, kept.request_count, kept.pending_count) == (BatchState.PENDING, 2, 2)
    assert (kept.display_name, kept.priority, kept.input_file_id) == ("dd", -3, None)
    assert kept.expires_at - kept.created_at == timedelta(hours=48)


def test_a_file_batch_keeps_its_input_when_the_file_is_deleted(any_store):
    file_id = upload(any_store, line("a") + b"\n")
    job = any_store.create_from_file(new(), file_id)
    any_store.files.delete(file_id, "")
    assert any_store.folder.input_path(job.batch_id).read_bytes() == line("a") + b"\n"
    assert any_store.get(job.batch_id, "").input_file_id == file_id


@pytest.mark.parametrize("content", [b"", b"\n\r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_input_without_a_request_is_refused_and_leaves_nothing(store, content):
    file_id = upload(store, content)
    with pytest.raises(InvalidRequest) as caught:
        store.create_from_file(new(), file_id)
    assert caught.value.field == "batch.input_config"
    assert (store.folder.list_batch_ids(), count(store, jobs)) == (set(), 0)


def test_a_missing_file_or_another_owners_is_refused_alike(store):
    file_id = upload(store, line("a"), owner="somebody")
    for missing in (file_id, "none"):
        with pytest.raises(UploadedFileNotFound):
            store.create_from_file(new(owner="other"), missing)
    assert store.folder.list_batch_ids() == set()


def test_results_of_a_batch_are_no_input(store):
    job = store.create_from_file(new(), upload(store, line("a")))
    work_off(store)
    output = store.get(job.batch_id, "").output_file_id
    with pytest.raises(FailedPrecondition):
        store.create_from_file(new(), output)


def test_another_owners_batch_is_not_found(any_store):
    job = any_store.create_inline(new(owner="mine"), [line("a")])
    for call in (any_store.get, any_store.cancel, any_store.delete):
        with pytest.raises(BatchNotFound):
            call(job.batch_id, "theirs")
    with pytest.raises(BatchNotFound):
        any_store.update(job.batch_id, "theirs", BatchUpdate(priority=9))
    assert any_store.list("theirs").items == ()
    assert any_store.get(job.batch_id, "mine").priority == 0


def test_pages_show_every_batch_once_newest_first(any_store):
    made = [any_store.create_inline(new(), [line("a")]).batch_id for _ in range(7)]
    any_store.create_inline(new(owner="other"), [line("a")])
    shown, token = [], None
    while True:
        page = any_store.list("", page_size=3, page_token=token)
        shown += [job.batch_id for job in page.items]
        any_store.create_inline(new(), [line("b")])  # in between two pages
        token = page.next_page_token
        if token is None:
            break
    assert shown == made[::-1]


def test_no_page_has_more_than_100_batches_whatever_is_asked_for(store):
    for _ in range(101):
        store.create_inline(new(), [line("a")])
    page = store.list("", page_size=2**31 - 1)
    assert (len(page.items), page.next_page_token is None) == (100, False)


@pytest.mark.parametrize(
    "token",
    ["nonsense", "WzEsIngiXQ", *(format_page_token(utc_now(), "9" * digits) for digits in (19, 5000))],
    ids=["no token", "a word for a number", "a number of 19 digits", "a number of 5000 digits"],
)
def test_a_page_token_of_others_is_refused(store, token):
    with pytest.raises(InvalidRequest):
        store.list("", page_token=token)


@pytest.mark.parametrize("priority", INT64)
def test_priorities_are_the_whole_of_int64(any_store, priority):
    job = any_store.create_inline(new(priority=priority), [line("a")])
    assert any_store.get(job.batch_id, "").priority == priority


def test_the_highest_priority_goes_first_then_the_oldest(any_store):
    given = [0, INT64[0], 5, INT64[1], 5, -1, INT64[1], INT64[0] + 1]
    made = [any_store.create_inline(new(priority=priority), [line("a")]) for priority in given]
    order = sorted(range(len(given)), key=lambda index: (-given[index], index))
    assert [task.batch_id for task in work_off(any_store)] == [made[index].batch_id for index in order]


def test_a_higher_priority_overtakes_at_the_next_chunk(any_store):
    content = b"".join(line(str(number)) + b"\n" for number in range(600))
    low = any_store.create_from_file(new(), upload(any_store, content))
    first = work_off(any_store, most=1)
    high = any_store.create_inline(new(priority=1), [line("a")])
    rest = work_off(any_store)
    assert [task.batch_id for task in first + rest] == [low.batch_id, high.batch_id, low.batch_id, low.batch_id]
    assert any_store.get(low.batch_id, "").state is BatchState.SUCCEEDED


def test_an_update_changes_what_it_names(any_store):
    job = any_store.create_inline(new(display_name="old", priority=1), [line("a")])
    assert any_store.update(job.batch_id, "", BatchUpdate(priority=2)).display_name == "old"
    changed = any_store.update(job.batch_id, "", BatchUpdate(display_name="new"))
    assert (changed.display_name, changed.priority) == ("new", 2)
    assert changed.updated_at > job.updated_at
    assert any_store.update(job.batch_id, "", BatchUpdate()) == changed


def create_from_file(store, count, **fields):
    content = b"".join(line(str(number), key=number) + b"\n" for number in range(count))
    return store.create_from_file(new(**fields), upload(store, content))


def finish(store, queue, *tasks):
    """Checkpoint chunks with made-up answers that have the keys of their requests."""
    for task in tasks:
        first = task.chunk_index * 256
        answers = [b'{"key":%d,"response":{}}\n' % key for key in range(first, first + task.request_count)]
        task.part_path.write_bytes(b"".join(answers))
        queue.checkpoint(task, ChunkResult(successful_count=task.request_count, failed_count=0))


def codes_of(answers):
    return [answer.get("error", {}).get("code") for answer in answers]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda store, queue, task: store.cancel(task.batch_id, ""), 1),
        (lambda store, queue, task: queue.fail(task, "INTERNAL", "Internal error encountered."), 13),
    ],
    ids=["cancelled", "failed"],
)
def test_every_line_of_the_input_has_its_line_in_the_output_wherever_a_batch_stopped(any_store, end, code):
    queue = BatchQueue(any_store)
    job = create_from_file(any_store, 1100)
    _, second, third, fourth = (queue.claim(ANY) for _ in range(4))
    finish(any_store, queue, second, fourth)
    end(any_store, queue, third)
    queue.settle()
    kept = any_store.get(job.batch_id, "")
    answers = file_answers(any_store, kept)
    assert [answer["key"] for answer in answers] == list(range(1100))
    assert codes_of(answers) == [code] * 256 + [None] * 256 + [code] * 256 + [None] * 256 + [code] * 76
    assert (kept.successful_count, kept.failed_count, kept.pending_count) == (512, 588, 0)
    assert any_store.files.get(kept.output_file_id, "").size_bytes == sum(
        len(block) for block in any_store.files.open_content(kept.output_file_id, "").read()
    )


def test_a_cancelled_file_batch_has_ended_at_once_and_nobody_works_on_it(any_store):
    job = create_from_file(any_store, 600)
    work_off(any_store, most=1)
    any_store.cancel(job.batch_id, "")
    kept = any_store.get(job.batch_id, "")
    assert (kept.state, kept.error_status, kept.ended_at) == (BatchState.CANCELLED, "CANCELLED", kept.updated_at)
    assert work_off(any_store) == []


def test_a_batch_cancelled_before_anything_was_done_has_an_error_for_every_line(any_store):
    job = create_from_file(any_store, 3)
    any_store.cancel(job.batch_id, "")
    kept = any_store.get(job.batch_id, "")
    assert file_answers(any_store, kept) == [
        {"key": key, "error": {"code": 1, "message": "The batch was cancelled."}} for key in range(3)
    ]


def test_a_batch_that_was_ending_when_the_server_died_ends_after_its_start(any_store):
    queue = BatchQueue(any_store)
    job = create_from_file(any_store, 600)
    first, second = queue.claim(ANY), queue.claim(ANY)
    finish(any_store, queue, first)
    queue.fail(second, "INTERNAL", "Internal error encountered.")
    assert not any_store.get(job.batch_id, "").state.is_ended
    BatchQueue(any_store).recover(ANY.weights)
    assert queue.claim(ANY) is None
    assert queue.settle() == 0
    kept = any_store.get(job.batch_id, "")
    assert kept.state is BatchState.FAILED
    assert codes_of(file_answers(any_store, kept)) == [None] * 256 + [13] * 344


def test_a_batch_that_is_ending_can_be_deleted_and_leaves_nothing(any_store):
    queue = BatchQueue(any_store)
    job = create_from_file(any_store, 3)
    queue.fail(queue.claim(ANY), "INTERNAL", "Internal error encountered.")
    any_store.delete(job.batch_id, "")
    queue.settle()
    assert any_store.folder.list_batch_ids() == set()


def test_in_an_ended_batch_nothing_is_pending(any_store):
    for create in (create_from_file, lambda store, count: store.create_inline(new(), [line("a")] * count)):
        job = create(any_store, 300)
        work_off(any_store, most=1)
        any_store.cancel(job.batch_id, "")
        kept = any_store.get(job.batch_id, "")
        assert (kept.successful_count, kept.failed_count, kept.pending_count) == (256, 44, 0)


def test_a_cancelled_inline_batch_answers_every_request(any_store):
    job = any_store.create_inline(new(), [line(str(number), key=str(number)) for number in range(300)])
    work_off(any_store, most=1)
    any_store.cancel(job.batch_id, "")
    answers = inline_answers(any_store, any_store.get(job.batch_id, ""))
    assert len(answers) == 300
    assert all("response" in answer for answer in answers[:256])
    assert answers[299] == {"key": "299", "error": {"code": 1, "message": "The batch was cancelled."}}


def test_what_is_lost_of_an_inline_batch_is_an_error_at_its_place(any_store):
    job = any_store.create_inline(new(), [line(str(number), key=str(number)) for number in range(600)])
    first, _ = work_off(any_store, most=2)
    any_store.cancel(job.batch_id, "")
    first.part_path.unlink()
    answers = inline_answers(any_store, any_store.get(job.batch_id, ""))
    assert [answer.get("error", {}).get("code") for answer in answers] == [15] * 256 + [None] * 256 + [1] * 88
    any_store.folder.input_path(job.batch_id).unlink()
    answers = inline_answers(any_store, any_store.get(job.batch_id, ""))
    assert [answer.get("error", {}).get("code") for answer in answers] == [15] * 256 + [None] * 256 + [15] * 88


def test_the_responses_of_a_batch_that_is_deleted_meanwhile_are_whole_chunks_and_then_none(any_store):
    job = any_store.create_inline(new(), [line(str(number), key=str(number)) for number in range(600)])
    work_off(any_store)
    blocks = any_store.inline_output(any_store.get(job.batch_id, ""))()
    assert len(orjson.loads(b"[" + next(blocks) + b"]")) == 256
    any_store.delete(job.batch_id, "")
    with pytest.raises(BatchNotFound):
        list(blocks)
    with pytest.raises(BatchNotFound):
        any_store.inline_output(job)


def test_a_batch_that_is_deleted_while_its_results_are_checked_is_not_lost_but_gone(any_store, monkeypatch):
    job = any_store.create_inline(new(), [line("a")])
    work_off(any_store)
    is_whole = results.is_whole

    def check_and_delete(part, chunk):
        whole = is_whole(part, chunk)
        any_store.delete(job.batch_id, "")
        return whole

    blocks = any_store.inline_output(any_store.get(job.batch_id, ""))()
    monkeypatch.setattr(results, "is_whole", check_and_delete)
    with pytest.raises(BatchNotFound):
        list(blocks)


def test_a_second_cancel_changes_nothing(any_store):
    job = any_store.create_inline(new(), [line("a")])
    any_store.cancel(job.batch_id, "")
    cancelled = any_store.get(job.batch_id, "")
    any_store.cancel(job.batch_id, "")
    assert any_store.get(job.batch_id, "") == cancelled
    assert cancelled.output_file_id is None


def test_a_batch_that_has_ended_cannot_be_cancelled(any_store):
    job = any_store.create_inline(new(), [line("a")])
    work_off(any_store)
    with pytest.raises(BatchNotCancellable):
        any_store.cancel(job.batch_id, "")
    assert any_store.get(job.batch_id, "").state is BatchState.SUCCEEDED


def test_deleting_removes_rows_input_and_results(any_store, data_dir):
    job = any_store.create_from_file(new(), upload(any_store, line("a"), file_id="mine"))
    work_off(any_store)
    any_store.delete(job.batch_id, "")
    with pytest.raises(BatchNotFound):
        any_store.get(job.batch_id, "")
    with pytest.raises(UploadedFileNotFound):
        any_store.files.get(f"batch-{job.batch_id}", "")
    assert (count(any_store, jobs), count(any_store, chunks), count(any_store, files)) == (0, 0, 1)
    assert not list((data_dir / "batches").iterdir())
    assert any_store.files.get("mine", "").file_id == "mine"


def test_a_claim_is_void_after_cancel_and_delete(any_store):
    queue = BatchQueue(any_store)
    for end in (any_store.cancel, any_store.delete):
        job = any_store.create_inline(new(), [line("a")])
        task = queue.claim(ANY)
        end(job.batch_id, "")
        if task.part_path.parent.exists():
            task.part_path.write_bytes(b"late")
        assert not queue.checkpoint(task, ChunkResult(successful_count=1, failed_count=0)).is_counted
        assert not task.part_path.exists()


def test_a_chunk_that_ends_while_its_batch_is_deleted_leaves_no_folder(any_store):
    queue = BatchQueue(any_store)
    job = any_store.create_inline(new(), [line("a")])
    task = queue.claim(ANY)
    any_store.delete(job.batch_id, "")
    task.part_path.parent.mkdir()
    task.part_path.write_bytes(b"written while the folder was being removed")
    assert not queue.checkpoint(task, ChunkResult(successful_count=1, failed_count=0)).is_counted
    assert any_store.folder.list_batch_ids() == set()


def test_a_claim_is_void_after_a_later_claim(any_store):
    queue = BatchQueue(any_store)
    job = any_store.create_inline(new(), [line("a")])
    late = queue.claim(ANY)
    queue.release_all()
    task = queue.claim(ANY)
    assert (task.chunk_index, task.lease, task.part_path) == (0, 2, late.part_path.with_name("0000000.2.jsonl"))
    result = ChunkResult(successful_count=0, failed_count=1)
    assert not queue.checkpoint(late, result).is_counted
    queue.release(late)
    assert queue.checkpoint(task, result).is_counted
    kept = any_store.get(job.batch_id, "")
    assert (kept.state, kept.failed_count, kept.pending_count) == (BatchState.SUCCEEDED, 1, 0)


def test_a_batch_waits_for_its_own_weights(any_store):
    queue = BatchQueue(any_store)
    job = any_store.create_inline(new(weights="hash@other"), [line("a")])
    assert queue.claim(ANY) is None
    queue.recover(ANY.weights)
    assert "hash@other" in any_store.get(job.batch_id, "").waiting_reason
    assert queue.claim(Claimable(weights=["hash@other"])).batch_id == job.batch_id
    assert any_store.get(job.batch_id, "").waiting_reason is None


def test_a_parked_job_says_why_and_lets_others_go(any_store):
    queue = BatchQueue(any_store)
    first = any_store.create_inline(new(priority=1), [line("a")])
    second = any_store.create_inline(new(), [line("a")])
    queue.release(queue.claim(ANY), "no room")
    kept = any_store.get(first.batch_id, "")
    assert (kept.state, kept.waiting_reason) == (BatchState.PENDING, "no room")
    assert queue.claim(Claimable(weights=ANY.weights, parked=[first.job_number])).batch_id == second.batch_id
    assert queue.claim(ANY).batch_id == first.batch_id
    kept = any_store.get(first.batch_id, "")
    assert (kept.state, kept.waiting_reason) == (BatchState.RUNNING, None)


def test_an_open_batch_expires_and_keeps_what_is_finished(database, data_dir):
    late = []
    moments = FileStore(database, data_dir)
    store = BatchStore(database, moments, data_dir, clock=lambda: utc_now() + sum(late, timedelta()))
    content = b"".join(line(str(number)) + b"\n" for number in range(300))
    started = store.create_from_file(new(), upload(store, content))
    waiting = store.create_inline(new(priority=-1), [line("a")])
    work_off(store, most=1)
    queue = BatchQueue(store)
    assert queue.expire() == 0
    late.append(timedelta(hours=49))
    assert queue.expire() == 2
    assert queue.expire() == 0
    assert queue.settle() == 0
    for job in (started, waiting):
        kept = store.get(job.batch_id, "")
        assert (kept.state, kept.error_status) == (BatchState.EXPIRED, "DEADLINE_EXCEEDED")
    assert codes_of(file_answers(store, store.get(started.batch_id, ""))) == [None] * 256 + [4] * 44
    assert inline_answers(store, store.get(waiting.batch_id, ""))[0]["error"]["code"] == 4
    assert queue.claim(ANY) is None
    assert queue.look(ANY) == ToDo(has_work=False, has_ending=False, first_expiry=None)


def test_an_ended_batch_is_deleted_when_its_time_is_up(database, data_dir):
    late = []
    store = BatchStore(
        database, FileStore(database, data_dir), data_dir, clock=lambda: utc_now() + sum(late, timedelta())
    )
    ended = store.create_inline(new(), [line("a")])
    work_off(store)
    opened = store.create_inline(new(), [line("a")])
    queue = BatchQueue(store)
    late.append(timedelta(days=41))
    assert queue.sweep() == 0
    late.append(timedelta(days=2))
    assert queue.sweep() == 1
    with pytest.raises(BatchNotFound):
        store.get(ended.batch_id, "")
    assert store.get(opened.batch_id, "")


def test_what_is_kept_is_no_other_users_to_read_whoever_made_the_data_folder(sqlite, tmp_path):
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o755)
    BatchStore(sqlite, FileStore(sqlite, data_dir), data_dir)
    assert {each.name: each.stat().st_mode & 0o077 for each in data_dir.iterdir()} == {"batches": 0, "files": 0}


def test_recovery_removes_orphans_and_void_parts_and_nothing_else(any_store):
    queue = BatchQueue(any_store)
    content = b"".join(line(str(number)) + b"\n" for number in range(600))
    job = any_store.create_from_file(new(), upload(any_store, content))
    (done,) = work_off(any_store, most=1)
    task = queue.claim(ANY)
    task.part_path.write_bytes(b"whole, but never counted")
    task.part_path.with_suffix(".jsonl.part").write_bytes(b"half")
    any_store.folder.write_input("orphan", [line("a")])
    queue.recover(ANY.weights)
    assert any_store.folder.list_batch_ids() == {job.batch_id}
    assert sorted(path.name for path in done.part_path.parent.iterdir()) == ["0000000.1.jsonl", "input.jsonl"]
    assert len(work_off(any_store)) == 2
    assert any_store.get(job.batch_id, "").state is BatchState.SUCCEEDED


def test_what_is_lost_of_a_file_batch_is_an_error_at_its_place_and_counted_as_one(any_store):
    queue = BatchQueue(any_store)
    job = create_from_file(any_store, 600)
    first, second, third = (queue.claim(ANY) for _ in range(3))
    finish(any_store, queue, first, second)
    first.part_path.unlink()
    queue.fail(third, "DATA_LOSS", "damaged")
    queue.fail(third, "INTERNAL", "an ended state never changes")
    queue.settle()
    kept = any_store.get(job.batch_id, "")
    assert (kept.state, kept.error_status, kept.error_message) == (BatchState.FAILED, "DATA_LOSS", "damaged")
    answers = file_answers(any_store, kept)
    assert [answer["key"] for answer in answers] == list(range(600))
    assert codes_of(answers) == [15] * 256 + [None] * 256 + [15] * 88
    assert (kept.successful_count, kept.failed_count) == (256, 344)


def test_a_batch_whose_input_is_lost_has_an_error_without_a_key_for_every_line(any_store):
    queue = BatchQueue(any_store)
    job = create_from_file(any_store, 300)
    task = queue.claim(ANY)
    task.input_path.unlink()
    queue.fail(task, "DATA_LOSS", "damaged")
    queue.settle()
    answers = file_answers(any_store, any_store.get(job.batch_id, ""))
    assert codes_of(answers) == [15] * 300
    assert not any("key" in answer for answer in answers)


def test_batches_are_counted_by_state_and_every_state_is_named(any_store):
    any_store.create_inline(new(), [line("a text")])
    any_store.cancel(any_store.create_inline(new(), [line("a text")]).batch_id, "")
    counts = {figure.labels["state"]: figure.value for figure in any_store.figures()}
    assert set(counts) == set(BatchState)
    assert (counts[BatchState.PENDING], counts[BatchState.CANCELLED], counts[BatchState.SUCCEEDED]) == (1, 1, 0)


def test_void_parts_of_an_ended_batch_are_swept(any_store):
    queue = BatchQueue(any_store)
    job = create_from_file(any_store, 600)
    work_off(any_store, most=1)
    any_store.cancel(job.batch_id, "")
    before = file_answers(any_store, any_store.get(job.batch_id, ""))
    folder = any_store.folder.input_path(job.batch_id).parent
    kept = {path.name for path in folder.iterdir()}
    (folder / "0000001.1.jsonl").write_bytes(b"whole, never counted")
    (folder / "0000001.2.jsonl.part").write_bytes(b"half")
    queue.sweep()
    assert {path.name for path in folder.iterdir()} == kept
    assert file_answers(any_store, any_store.get(job.batch_id, "")) == before


def test_batches_that_ended_long_ago_are_swept_at_a_start_and_not_every_hour(database, data_dir):
    late = [timedelta()]
    store = BatchStore(database, FileStore(database, data_dir), data_dir, clock=lambda: utc_now() + late[0])
    queue, job = BatchQueue(store), create_from_file(store, 300)
    work_off(store)
    void = store.folder.part_path(job.batch_id, 0, 9)

    def is_swept(queue, hours):
        late[0] = timedelta(hours=hours)
        void.write_bytes(b"of a server that was paused")
        queue.sweep()
        return not void.exists()

    assert is_swept(queue, 0)
    assert is_swept(queue, 20)
    assert is_swept(queue, 40)
    assert not is_swept(queue, 60)
    assert is_swept(BatchQueue(store), 60)


def test_a_sweep_that_failed_is_made_up_for_by_the_next_one(database, data_dir):
    late = [timedelta()]
    store = BatchStore(database, FileStore(database, data_dir), data_dir, clock=lambda: utc_now() + late[0])
    queue, job = BatchQueue(store), create_from_file(store, 300)
    work_off(store)
    void = store.folder.part_path(job.batch_id, 0, 9)
    void.write_bytes(b"of a server that was paused")
    late[0] = timedelta(hours=40)
    aside = void.parent.rename(data_dir / "aside")
    void.parent.write_bytes(b"no folder, so that listing it fails")
    with pytest.raises(StorageFailure):
        queue.sweep()
    void.parent.unlink()
    aside.rename(void.parent)
    queue.sweep()
    assert not void.exists()


def limited(store, data_dir, **limits):
    """The same store with limits for every owner."""

    def limits_of(owner):
        return OwnerLimits(**limits)

    files = FileStore(store.database, data_dir, limits_of=limits_of)
    return BatchStore(store.database, files, data_dir, limits_of=limits_of)


def test_an_owner_can_have_only_so_many_batches_open(any_store, data_dir):
    store = limited(any_store, data_dir, open_batches=2)
    first, _ = [store.create_inline(new(owner="me"), [line("a")]) for _ in range(2)]
    with pytest.raises(QuotaExceeded, match="may have 2 batches open") as refused:
        store.create_inline(new(owner="me"), [line("a")])
    assert (refused.value.limit, refused.value.most) == ("open_batches", 2)
    assert len(store.folder.list_batch_ids()) == 2, "the refused one left nothing"
    store.create_inline(new(owner="you"), [line("a")])
    store.cancel(first.batch_id, "me")
    store.create_inline(new(owner="me"), [line("a")])


def test_no_priority_is_higher_than_the_owner_may_use(any_store, data_dir):
    store = limited(any_store, data_dir, priority=3)
    job = store.create_inline(new(priority=3), [line("a")])
    with pytest.raises(InvalidRequest, match="is 4, and this API key may use 3 at most"):
        store.create_inline(new(priority=4), [line("a")])
    with pytest.raises(InvalidRequest, match="is 4, and"):
        store.update(job.batch_id, "", BatchUpdate(priority=4))
    assert store.get(job.batch_id, "").priority == 3


def test_an_input_counts_against_the_quota_when_its_file_is_gone(any_store, data_dir):
    content = line("a") + b"\n"
    store = limited(any_store, data_dir, stored_bytes=3 * len(content))
    for _ in range(3):
        name = upload(store, content, file_id="same")
        store.create_from_file(new(), name)
        store.files.delete(name, "")
    with pytest.raises(QuotaExceeded, match=f"would be {4 * len(content)} bytes"):
        upload(store, content, file_id="same")


def test_results_count_before_they_are_computed_and_as_they_are_afterwards(any_store, data_dir):
    content = line("a") + b"\n"
    store = limited(any_store, data_dir, stored_bytes=5 * len(content) + 1000)
    job = store.create_inline(new(values=50), [line("a")])
    with pytest.raises(QuotaExceeded):
        store.create_inline(new(values=50), [line("a")])
    work_off(store)
    kept = store.get(job.batch_id, "")
    assert (kept.input_bytes, kept.result_bytes) == (len(content), len(b'{"response":{}}\n'))
    store.create_inline(new(values=50), [line("a")])


def test_a_damaged_upload_is_not_taken_as_an_input(any_store, data_dir):
    name = upload(any_store, line("a") + b"\n")
    [path] = (data_dir / "files").iterdir()
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(DataLost, match="has changed since it was written"):
        any_store.create_from_file(new(), name)
    assert any_store.folder.list_batch_ids() == set()


@contextlib.contextmanager
def losing_the_news(database, monkeypatch):
    """Commit what is written in the block, and report a failure all the same, as a connection that breaks does."""
    write = database.write

    @contextlib.contextmanager
    def write_and_fail(**options):
        with write(**options) as connection:
            yield connection
        raise StorageFailure("the connection broke")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", write_and_fail)
        yield


@pytest.mark.parametrize("is_file", [True, False])
def test_a_batch_whose_acceptance_nobody_heard_of_keeps_its_input(any_store, monkeypatch, is_file):
    file_id = upload(any_store, line("a") + b"\n")
    accept = partial(any_store.create_from_file, new(), file_id)
    if not is_file:
        accept = partial(any_store.create_inline, new(), [line("a")])
    with losing_the_news(any_store.database, monkeypatch), pytest.raises(StorageFailure):
        accept()
    (job,) = any_store.list("").items
    assert any_store.folder.input_path(job.batch_id).exists()


def test_a_chunk_whose_checkpoint_nobody_heard_of_is_counted_once_and_keeps_its_part(any_store, monkeypatch):
    queue = BatchQueue(any_store)
    any_store.create_inline(new(chunk_requests=1), [line("a"), line("b")])
    task = queue.claim(ANY)
    task.part_path.write_bytes(b"answers\n")
    result = ChunkResult(successful_count=1, failed_count=0)
    with losing_the_news(any_store.database, monkeypatch), pytest.raises(StorageFailure):
        queue.checkpoint(task, result)
    again = queue.checkpoint(task, result)
    assert again.is_counted
    assert task.part_path.exists()
    (job,) = any_store.list("").items
    assert (job.successful_count, job.pending_count) == (1, 1)


def test_a_chunk_whose_claim_nobody_heard_of_is_given_back_and_no_other(any_store, monkeypatch):
    queue = BatchQueue(any_store)
    any_store.create_inline(new(chunk_requests=1), [line("a"), line("b"), line("c")])
    held = queue.claim(ANY)
    with losing_the_news(any_store.database, monkeypatch), pytest.raises(StorageFailure):
        queue.claim(ANY)
    assert [each.chunk_index for each in (held, queue.claim(ANY))] == [0, 2]
    assert queue.release_lost() == 1
    assert queue.release_lost() == 0
    assert queue.claim(ANY).chunk_index == 1
    assert queue.claim(ANY) is None


def test_a_cancelled_batch_whose_part_cannot_be_read_now_waits_for_its_end(any_store):
    lines = line("a") + b"\n" + line("b") + b"\n"
    job = any_store.create_from_file(new(chunk_requests=1), upload(any_store, lines))
    [task] = work_off(any_store, most=1)
    task.part_path.unlink()
    task.part_path.mkdir()
    any_store.cancel(job.batch_id, "")
    assert any_store.get(job.batch_id, "").ending_state is BatchState.CANCELLED
