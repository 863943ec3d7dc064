"""A process that works on batches is killed; then the next one goes on.

The recovery contract, checked after every death (`Campaign.check`):

1. A batch whose creation was answered exists, with its input.
2. A finished batch has exactly one response per request, in input order, each computed from its own request.
3. What was finished before a crash is not computed again: at most the chunks in flight then are repeated.
4. An ended state never changes. The counters always add up to the number of requests.
"""

import pytest

from batch_crashes import Campaign
from batch_worker import CHUNK_STEPS, CREATE_STEPS, DELETE_STEPS, END_STEPS
from gemvec.errors import DataFolderLocked
from gemvec.storage.lock import FolderLock


@pytest.fixture
def campaign(tmp_path):
    return Campaign(tmp_path / "data")


@pytest.mark.parametrize("kind", ["inline", "file"])
def test_killed_while_a_batch_is_created_it_exists_whole_or_not_at_all(campaign, kind):
    for step in CREATE_STEPS:
        name = f"{kind}:{step.replace(' ', '_')}:300"
        assert campaign.live(create=[name], kill=step) == "killed"
        assert (name in campaign.accepted) == (step == "accepted")
    assert campaign.live() == "done"


@pytest.mark.slow
def test_killed_at_every_step_of_a_chunk_it_goes_on_where_it_was(campaign):
    # Nothing is computed in the first life, so that chunks are left for every step.
    names = ["file:1:6000", "inline:2:500"]
    assert campaign.live(create=names, kill="accepted", countdown=2, pause_seconds=3600) == "killed"
    for number, step in enumerate(CHUNK_STEPS):
        assert campaign.live(kill=step, countdown=1 + number % 3) == "killed", step
    assert campaign.live() == "done"


def test_killed_while_a_batch_ends_it_ends_once_with_all_its_results(campaign):
    for step in END_STEPS:
        assert campaign.live(create=[f"file:{step.replace(' ', '_')}:600"], kill=step) == "killed"
        assert campaign.live() == "done"


def test_killed_while_a_batch_is_deleted_it_is_there_or_gone(campaign):
    for step in DELETE_STEPS:
        name = f"file:{step.replace(' ', '_')}:300"
        assert campaign.live(create=[name]) == "done"
        batch_id = campaign.batch_ids()[name]
        campaign.deleted.add(name)
        assert campaign.live(delete=[batch_id], kill=step) == "killed"
        assert (name in campaign.batch_ids()) == (campaign.data_dir / "batches" / batch_id).exists()
        assert campaign.live() == "done"
    left = {path.name for path in (campaign.data_dir / "batches").iterdir()}
    assert left == set(campaign.batch_ids().values())


def test_killed_at_random_moments_nothing_is_lost(campaign):
    campaign.kill_at_random(5, seed=1)


@pytest.fixture
def far_campaign(tmp_path, far_url):
    return Campaign(tmp_path / "data", far_url)


def test_killed_while_a_batch_is_created_in_an_object_store_it_exists_whole_or_not_at_all(far_campaign):
    for step in ("input held", "accepted"):
        name = f"file:{step.replace(' ', '_')}:300"
        assert far_campaign.live(create=[name], kill=step) == "killed"
        assert (name in far_campaign.accepted) == (step == "accepted")
    assert far_campaign.live() == "done"


def test_killed_around_the_results_of_a_chunk_in_an_object_store_it_goes_on_where_it_was(far_campaign):
    assert far_campaign.live(create=["file:1:1500"], kill="started") == "killed"
    for step in ("folder_synced", "chunk marked", "ended"):
        assert far_campaign.live(kill=step) == "killed", step
    assert far_campaign.live() == "done"


def test_killed_at_random_moments_nothing_is_lost_in_an_object_store(far_campaign):
    far_campaign.kill_at_random(2, seed=2)


def test_sigterm_parks_and_nothing_is_computed_twice(campaign):
    create = ["file:1:10000"]
    for _ in range(3):
        assert campaign.live(create=create, stop="computed", countdown=9) == "stopped"
        create = []
    assert campaign.live() == "done"
    assert campaign.counts()["chunks_computed_again"] == 0


def test_a_second_process_is_kept_off_the_data_folder(campaign):
    campaign.data_dir.mkdir()
    with FolderLock(campaign.data_dir), pytest.raises(AssertionError, match=DataFolderLocked.__name__):
        campaign.live()
