"""Two servers work on the batches of one PostgreSQL and one object store."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from batch_steps import line, new
from gemvec.batches import rows
from gemvec.batches.chunk import run_chunk
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.queue import BatchQueue, Claimable
from gemvec.batches.store import BatchStore
from gemvec.errors import DataLost, HoldLost, UploadNotActive
from gemvec.files import rows as rows_of_files
from gemvec.files.rows import upload_key
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.storage.objects import ObjectPath
from gemvec.storage.schema import segments
from gemvec.storage.schema import servers as servers_table
from gemvec.storage.servers import Membership
from gemvec.storage.timestamps import utc_now
from gemvec.wire.batches import BatchState
from hash_embedder import HashEmbedder

ANY = Claimable(weights=["hash@12345678"])


class Server:
    """What a server has of the shared store."""

    def __init__(self, url, place, server_id):
        self.database = open_database(url)
        self.member = Membership(self.database, server_id, lease_seconds=30)
        self.member.join()
        self.store = BatchStore(self.database, FileStore(self.database, place), place)
        self.queue = BatchQueue(self.store)

    def die(self, other):
        """Be found dead by another server."""
        other.queue.release_dead(self.database.shared_token)


@pytest.fixture
def servers(postgresql_url, tmp_path):
    place = ObjectPath(f"memory:///{tmp_path.name}")
    pair = [Server(postgresql_url, place, name) for name in ("one", "two")]
    yield pair
    for each in pair:
        each.database.close()


def compute(task):
    return asyncio.run(run_chunk(task, HashEmbedder(), ChunkFiles(task)))


def create(server, count=1):
    file = server.store.files.create("", [b"\n".join(line("a", key=number) for number in range(count))])
    return server.store.create_from_file(new(chunk_requests=1), file.file_id)


def test_servers_claim_different_chunks_of_one_batch(servers):
    one, two = servers
    create(one, 3)
    tasks = [each.queue.claim(ANY) for each in (one, two, one, two)]
    assert [task and task.chunk_index for task in tasks] == [0, 1, 2, None]


def test_the_chunks_of_a_dead_server_are_computed_by_another_and_its_late_result_is_void(servers):
    one, two = servers
    job = create(two)
    late = one.queue.claim(ANY)
    assert two.queue.claim(ANY) is None
    one.die(two)
    again = two.queue.claim(ANY)
    assert (again.chunk_index, again.lease, again.crashes) == (0, late.lease + 1, 1)
    result = compute(late)
    with pytest.raises(HoldLost):
        one.queue.checkpoint(late, result)
    one.member.beat()
    assert not one.queue.checkpoint(late, result).is_counted
    assert not late.part_path.exists()
    assert two.queue.checkpoint(again, compute(again)).is_counted
    assert one.store.get(job.batch_id, "").state is BatchState.SUCCEEDED


def test_a_server_that_stops_gives_back_only_its_own_claims(servers):
    one, two = servers
    create(one, 2)
    one.queue.claim(ANY), two.queue.claim(ANY)
    assert one.queue.release_all() == 1
    one.queue.recover(ANY.weights)
    with two.database.read() as connection:
        assert rows.list_claims(connection, two.database.shared_token) == [(1, 1, 1)]


def test_a_server_that_leaves_gives_back_its_claims_and_is_no_longer_counted_on(servers):
    one, two = servers
    create(one)
    one.queue.claim(ANY)
    one.queue.leave()
    assert two.queue.claim(ANY).crashes == 0
    with pytest.raises(HoldLost):
        one.queue.claim(ANY)


def test_a_dead_server_is_left_alone_while_a_transaction_of_it_is_open(servers):
    one, two = servers
    create(one)
    task = one.queue.claim(ANY)
    with one.database.write():  # it was lost in the middle of it
        assert not two.queue.release_dead(one.database.shared_token)
        two.member.beat()
    assert two.queue.release_dead(one.database.shared_token)
    assert two.queue.claim(ANY).lease == task.lease + 1


def test_a_look_for_work_that_finds_none_waits_for_no_other_server(servers):
    one, two = servers
    with one.database.write() as connection:
        connection.execute(delete(servers_table).where(servers_table.c.token == two.database.shared_token))
        assert not two.queue.look(ANY).has_work
        connection.rollback()


def test_the_part_of_a_chunk_that_another_server_computes_is_no_leftover(servers):
    one, two = servers
    create(one)
    task = one.queue.claim(ANY)
    result = compute(task)
    assert two.queue.sweep_leftovers() == (0, 0)
    assert one.queue.checkpoint(task, result).is_counted
    assert task.part_path.exists()


def test_the_part_of_a_void_claim_is_a_leftover(servers):
    one, two = servers
    create(one)
    task = one.queue.claim(ANY)
    compute(task)
    one.die(two)
    assert two.queue.sweep_leftovers() == (0, 1)
    assert not task.part_path.exists()


def test_an_input_that_another_server_is_storing_is_no_leftover(servers):
    one, two = servers

    def lines():
        yield line("a")
        two.store.folder.write_input("orphan", [line("b")])
        assert two.queue.sweep_leftovers()[0] == 1

    job = one.store.create_inline(new(), lines())
    assert one.store.folder.list_batch_ids() == {job.batch_id}


def test_a_batch_whose_server_was_taken_for_dead_meanwhile_is_not_accepted(servers):
    one, two = servers

    def lines():
        yield line("a")
        one.die(two)
        one.member.beat()  # it has a new token, and the input may be gone

    with pytest.raises(HoldLost):
        one.store.create_inline(new(), lines())
    assert two.store.folder.list_batch_ids() == set()
    assert two.store.list("").items == ()


def test_a_batch_that_ends_is_settled_once(servers):
    one, two = servers
    job = create(one, 2)
    one.store.cancel(job.batch_id, "")
    for each in servers:
        each.store.settle(job.job_number)
    ended = two.store.get(job.batch_id, "")
    assert (ended.state, ended.failed_count) == (BatchState.CANCELLED, 2)
    assert two.queue.sweep_leftovers() == (0, 0)
    assert len(b"".join(two.store.files.open_content(ended.output_file_id, "").read()).splitlines()) == 2


def test_an_upload_goes_on_at_another_server(servers):
    one, two = servers
    uploads = [each.store.files.uploads for each in servers]
    upload_id = uploads[0].start("", declared_bytes=6).upload_id
    slow = uploads[0].open_append(upload_id, 0)
    slow.write(b"abc")
    uploads[1].append(upload_id, 0, [b"abcd"])
    slow.abandon()  # the other one was faster: these bytes are not recorded
    uploads[0].append(upload_id, 4, [b"ef"])
    file = uploads[1].finalize(upload_id)
    content = one.store.files.open_content(file.file_id, "")
    content.check()
    assert b"".join(content.read()) == b"abcdef"
    assert [part.size_bytes for part in content.parts] == [4, 2]
    place = two.store.files._data_dir / "files"
    assert len({name for each in place.list_names() for name in (place / each).list_names()}) == 2


@pytest.mark.parametrize("end", ["finalize", "cancel", "expire"])
def test_a_server_forgets_an_upload_that_ended_elsewhere(servers, end):
    one, two = (each.store.files.uploads for each in servers)
    upload_id = one.start("").upload_id
    kept = one.start("").upload_id
    for each in (upload_id, kept):
        one.append(each, 0, [b"abc"])
    if end == "expire":
        with servers[1].database.write() as connection:
            rows_of_files.delete_expired_uploads(connection, utc_now() + timedelta(days=3))
        kept = None
    else:
        getattr(two, end)(upload_id)
    one.forget_ended()
    assert set(one._writers) == set(one._digests) == ({upload_key(kept)} if kept else set())


@pytest.mark.parametrize("end", ["abandon", "close", "checkpoint"])
def test_bytes_that_were_not_recorded_are_not_counted_later(servers, end):
    uploads = [each.store.files.uploads for each in servers]
    upload_id = uploads[0].start("").upload_id
    slow = uploads[0].open_append(upload_id, 0)
    slow.write(b"abcdefgh")
    uploads[1].append(upload_id, 0, [b"abc"])
    with pytest.raises(UploadNotActive):
        slow.checkpoint()
    getattr(slow, end)()
    assert uploads[1].query(upload_id).received_bytes == 3


def test_a_file_without_some_of_its_objects_is_damaged(servers):
    files = servers[0].store.files
    file = files.create("", [b"abc"])
    with servers[0].database.write() as connection:
        connection.execute(delete(segments))
    with pytest.raises(DataLost, match="0 bytes in its objects; 3 are recorded"):
        files.open_content(file.file_id, "")


def test_objects_of_deleted_files_are_forgotten(servers):
    files = servers[0].store.files
    files.delete(files.create("", [b"abc"]).file_id, "")
    files.sweep()
    with servers[0].database.read() as connection:
        assert connection.execute(select(segments)).all() == []


def test_a_batch_whose_weights_nobody_serves_says_so(servers):
    batch_id = create(servers[0]).batch_id
    servers[0].queue.recover(["others@1"])
    assert "hash@12345678" in servers[0].store.get(batch_id, "").waiting_reason
