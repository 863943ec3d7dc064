"""Batches and files: made by dropping a file, watched, changed, downloaded, deleted; 10,000 of them in pages."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import expect
from sqlalchemy import insert

from gemvec.settings import Settings
from gemvec.storage.database import database_of, open_database
from gemvec.storage.schema import jobs

LINES = [
    '{"key": "first", "request": {"content": {"parts": [{"text": "a cat"}]}}}',
    '{"key": "second", "request": {"content": {"parts": [{"text": ""}]}}}',
    '{"key": "third", "request": {"content": {"parts": [{"text": "a dog"}]}}}',
]


def choose(page, lines=LINES, name="animals.jsonl"):
    content = "\n".join(lines).encode()
    page.locator("#batch-file").set_input_files({"name": name, "mimeType": "application/jsonl", "buffer": content})


def make(page, **options):
    choose(page, **options)
    page.get_by_role("button", name="Make the batch").click()
    expect(page.locator(".item")).not_to_have_count(0)


def open_details(page, name="animals"):
    page.get_by_role("button", name=f"Details of {name}").first.click()


@pytest.fixture
def page(open_page, gemvec_server):
    return open_page(f"{gemvec_server.url}/#/batches")


@pytest.fixture
def held_page(open_page, serve, held):
    """The page of a server whose batches do not go on."""
    with serve(held) as url:
        yield open_page(f"{url}/#/batches")
        held.released.set()


def test_a_file_becomes_a_batch_that_is_watched_to_its_end(page):
    make(page)
    expect(page.locator(".badge")).to_have_text("succeeded")
    expect(page.locator(".count")).to_have_text("3 of 3, 1 failed")
    expect(page.get_by_role("button", name="Make the batch")).to_be_hidden()


def test_a_file_can_be_dropped(page):
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.ndjson"));
            const zone = document.querySelector(".drop");
            zone.dispatchEvent(new DragEvent("dragover", { bubbles: true, cancelable: true, dataTransfer: data }));
            zone.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        LINES[0],
    )
    expect(page.get_by_text("dropped.ndjson, ")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("dropped")


def test_model_name_and_priority_are_chosen(page, gemvec_server):
    choose(page)
    page.get_by_label("Model").select_option("gemini-embedding-001")
    page.get_by_label("Name").fill("my animals")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Make the batch").click()
    expect(page.locator(".title")).to_have_text("my animals")
    [operation] = httpx.get(f"{gemvec_server.url}/v1beta/batches").json()["operations"]
    batch = operation["metadata"]
    assert (batch["model"], batch["displayName"]) == ("models/gemini-embedding-001", "my animals")
    assert int(batch["priority"]) == 7


def test_errors_are_listed_by_line(page):
    make(page)
    open_details(page)
    page.get_by_role("button", name="Show the errors").click()
    row = page.locator(".errors tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td").nth(0)).to_have_text("2")
    expect(row.locator("td").nth(1)).to_have_text("second")
    expect(row.locator("td").nth(2)).to_contain_text("empty Part")


def test_two_hundred_errors_are_listed_and_all_are_counted(page):
    make(page, lines=[LINES[1]] * 250)
    open_details(page)
    page.get_by_role("button", name="Show the errors").click()
    expect(page.get_by_text("The first 200 of 250 errors")).to_be_visible()
    assert page.locator(".errors tbody tr").count() == 200


def test_results_are_downloaded(page):
    make(page)
    open_details(page)
    with page.expect_download() as found:
        page.get_by_role("button", name="Download the results").click()
    lines = [json.loads(line) for line in found.value.path().read_text().splitlines()]
    assert [line["key"] for line in lines] == ["first", "second", "third"]
    assert found.value.suggested_filename.endswith(".jsonl")


def test_results_of_inline_requests_are_downloaded_and_their_errors_listed(page, gemvec_server):
    requests = [
        {"request": json.loads(line)["request"], "metadata": {"key": key}}
        for key, line in zip("ab", LINES, strict=False)
    ]
    batch = {"displayName": "inline", "inputConfig": {"requests": {"requests": requests}}}
    made = httpx.post(f"{gemvec_server.url}/v1beta/models/fake:asyncBatchEmbedContent", json={"batch": batch})
    assert made.status_code == 200, made.text
    page.reload()
    expect(page.locator(".badge")).to_have_text("succeeded")
    open_details(page, "inline")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download the results").click()
    lines = [json.loads(line) for line in found.value.path().read_text().splitlines()]
    assert [line["metadata"]["key"] for line in lines] == ["a", "b"]
    page.get_by_role("button", name="Show the errors").click()
    expect(page.locator(".errors tbody td").nth(1)).to_have_text('{"key":"b"}')


def test_the_priority_of_an_open_batch_is_changed(held_page):
    make(held_page)
    open_details(held_page)
    held_page.locator(".more").get_by_label("Priority").fill("-3")
    held_page.locator(".more").get_by_role("button", name="Set").click()
    expect(held_page.locator(".about").last).to_contain_text("priority -3")


def test_a_batch_is_cancelled_when_that_is_confirmed(held_page):
    make(held_page)
    open_details(held_page)
    held_page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = held_page.get_by_role("dialog", name="Cancel this batch?")
    expect(dialog).to_contain_text("3 requests will not be computed")
    dialog.get_by_role("button", name="Keep").click()
    expect(held_page.locator(".badge")).not_to_have_text("cancelled")
    held_page.get_by_role("button", name="Cancel", exact=True).click()
    held_page.get_by_role("button", name="Cancel the batch").click()
    expect(held_page.locator(".badge")).to_have_text("cancelled")
    expect(held_page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()


def test_a_batch_is_deleted_when_that_is_confirmed(page):
    make(page)
    open_details(page)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator(".item")).to_have_count(1)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete the batch").click()
    expect(page.locator(".item")).to_have_count(0)
    expect(page.get_by_text("No batches yet.")).to_be_visible()


def test_an_open_batch_shows_its_progress_and_then_its_end(held_page, held):
    make(held_page)
    expect(held_page.locator(".count")).to_have_text("0 of 3")
    held.released.set()
    expect(held_page.locator(".badge")).to_have_text("succeeded")


def test_a_file_that_is_no_batch_is_refused_in_the_servers_words(page):
    choose(page, lines=[], name="empty.jsonl")
    page.get_by_role("button", name="Make the batch").click()
    expect(page.locator(".new-batch").get_by_role("alert")).to_contain_text("400")
    expect(page.get_by_role("button", name="Make the batch")).to_be_enabled()


def test_ten_thousand_batches_come_in_pages(open_page, serve, tmp_path):
    write_batches(tmp_path / "data", 10_000)
    with serve() as url:
        page = open_page(f"{url}/#/batches")
        expect(page.locator(".item")).to_have_count(50)
        expect(page.locator(".title").first).to_have_text("number 9999")
        expect(page.get_by_role("button", name="Newer")).to_be_disabled()
        page.get_by_role("button", name="Older").click()
        expect(page.locator(".title").first).to_have_text("number 9949")
        expect(page.get_by_text("Page 2")).to_be_visible()
        page.get_by_role("button", name="Older").click()
        expect(page.locator(".title").first).to_have_text("number 9899")
        page.get_by_role("button", name="Newer").click()
        expect(page.locator(".title").first).to_have_text("number 9949")


def write_batches(data_dir, count):
    """Write finished batches into the database of a data folder that no server uses yet."""
    data_dir.mkdir()
    database = open_database(database_of(Settings(data_dir=data_dir)))
    moment = datetime.now(UTC) - timedelta(days=1)
    row = {
        "owner": "", "model": "fake", "weights": "fake@00000000", "priority": 0, "state": "SUCCEEDED",
        "request_count": 5, "successful_count": 5, "expires_at": datetime.now(UTC) + timedelta(days=9),
    }  # fmt: skip
    rows = [
        row | {
            "batch_id": f"b{number}", "display_name": f"number {number}",
            "created_at": moment + timedelta(seconds=number), "updated_at": moment, "ended_at": moment,
        }
        for number in range(count)
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(jobs), rows)
    database.close()


@pytest.fixture
def files_page(open_page, gemvec_server):
    for name in ("one", "two"):
        sent = httpx.post(
            f"{gemvec_server.url}/upload/v1beta/files",
            content=name.encode(),
            headers={"x-goog-upload-protocol": "raw", "content-type": "text/plain"},
        )
        assert sent.status_code == 200, sent.text
    return open_page(f"{gemvec_server.url}/#/files")


def test_files_are_listed_and_downloaded(files_page):
    expect(files_page.locator("#files tr")).to_have_count(2)
    expect(files_page.locator("#files tr").first).to_contain_text("an upload")
    with files_page.expect_download() as found:
        files_page.get_by_role("button", name="Download").first.click()
    assert found.value.path().read_text() == "two"


def test_a_file_is_deleted_when_that_is_confirmed(files_page):
    files_page.get_by_role("button", name="Delete").first.click()
    files_page.get_by_role("button", name="Keep").click()
    expect(files_page.locator("#files tr")).to_have_count(2)
    files_page.get_by_role("button", name="Delete").first.click()
    files_page.get_by_role("button", name="Delete the file").click()
    expect(files_page.locator("#files tr")).to_have_count(1)


def test_no_files_are_said(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/files")
    expect(page.get_by_text("No files.")).to_be_visible()
