"""Batches over HTTP, by hand and with Google's SDK: what is accepted is answered in full, to its owner alone."""

import json
import time

import httpx
import numpy as np
import pytest
from google import genai
from google.genai import errors, types

from batch_server import batch_server
from gemvec.errors import DataFolderLocked
from hash_embedder import HashEmbedder, vector_of

MODEL = "/v1beta/models/gemini-embedding-001"
REQUEST = {"content": {"parts": [{"text": "a"}]}}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with batch_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture(scope="module")
def http(url):
    with httpx.Client(base_url=url, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def sdk(url):
    with genai.Client(api_key="any-key", http_options={"base_url": url}) as client:
        yield client


def create(http, *requests, path=MODEL, **fields):
    batch = {"inputConfig": {"requests": {"requests": list(requests)}}, **fields}
    return http.post(f"{path}:asyncBatchEmbedContent", json={"batch": batch})


def create_inline(http, count=1, **fields):
    requests = [
        {"request": {"content": {"parts": [{"text": f"text {number}"}]}}, "metadata": {"key": number}}
        for number in range(count)
    ]
    return create(http, *requests, **fields).json()


def upload(http, content):
    answer = http.post("/upload/v1beta/files", content=content, headers={"x-goog-upload-protocol": "raw"})
    return answer.json()["file"]["name"]


def finished(http, name):
    """Wait as long as it takes; a test that hangs is ended by the person who runs it."""
    while not (operation := http.get(f"/v1beta/{name}").json())["done"]:
        time.sleep(0.005)
    return operation


def jsonl(*objects):
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def values(response):
    return np.float32(response["embedding"]["values"])


def test_an_inline_batch_is_answered_with_metadata(http):
    request = {**REQUEST, "taskType": "RETRIEVAL_DOCUMENT", "title": "x", "outputDimensionality": 2}
    item = {"request": request, "metadata": {"key": "k1", "more": [1, None]}}
    bad = {"request": {"content": {"parts": [{"text": ""}]}}, "metadata": {"key": "k2"}}
    accepted = create(http, item, bad, displayName="dd", priority="5")
    assert accepted.status_code == 200
    created = accepted.json()
    assert created["done"] is False
    assert created["metadata"]["state"] == "BATCH_STATE_PENDING"
    assert created["metadata"]["batchStats"]["pendingRequestCount"] == "2"
    operation = finished(http, created["name"])
    metadata = operation["metadata"]
    assert metadata["name"] == operation["name"] == created["name"]
    assert (metadata["model"], metadata["displayName"]) == ("models/gemini-embedding-001", "dd")
    assert (metadata["state"], metadata["priority"]) == ("BATCH_STATE_SUCCEEDED", "5")
    assert metadata["batchStats"] == {
        "requestCount": "2",
        "successfulRequestCount": "1",
        "failedRequestCount": "1",
        "pendingRequestCount": "0",
    }
    assert metadata["createTime"] <= metadata["endTime"] == metadata["updateTime"]
    good, failed = metadata["output"]["inlinedResponses"]["inlinedResponses"]
    assert good["metadata"] == {"key": "k1", "more": [1, None]}
    assert np.array_equal(values(good["response"]), vector_of("a", 2, "x", 2))
    assert failed["error"]["code"] == 3
    assert failed["metadata"] == {"key": "k2"}
    assert operation["response"]["inlinedResponses"] == metadata["output"]["inlinedResponses"]


def test_a_file_batch_is_answered_in_a_file(http):
    content = (
        jsonl(
            {"key": "request_1", "request": {"output_dimensionality": 2, **REQUEST, "task_type": "RETRIEVAL_DOCUMENT"}},
            {"key": "request_2", "request": {**REQUEST, "model": "models/gemini-embedding-001"}},
        )
        + b'{"key": broken\n'
    )
    name = upload(http, content)
    created = http.post(
        f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"file_name": name}, "displayName": "dd"}}
    ).json()
    http.delete(f"/v1beta/{name}")
    operation = finished(http, created["name"])
    assert created["metadata"]["inputConfig"] == operation["metadata"]["inputConfig"] == {"fileName": name}
    file = operation["metadata"]["output"]["responsesFile"]
    assert file == "files/batch-" + created["name"].removeprefix("batches/")
    assert operation["response"]["responsesFile"] == file
    lines = http.get(f"/v1beta/{file}:download?alt=media").text.splitlines()
    first, second, third = map(json.loads, lines)
    assert (first["key"], second["key"], "key" in third) == ("request_1", "request_2", False)
    assert np.array_equal(values(first["response"]), vector_of("a", 2, None, 2))
    assert first["response"]["tokenCount"] == "1"
    assert third["error"]["code"] == 3
    assert http.get(f"/v1beta/{file}").json()["mimeType"] == "application/jsonl"


def test_a_download_of_results_goes_on_where_it_broke_off(http):
    name = upload(http, jsonl({"key": "1", "request": REQUEST}, {"key": "2", "request": REQUEST}))
    created = http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"fileName": name}}}).json()
    file = finished(http, created["name"])["metadata"]["output"]["responsesFile"]
    whole = http.get(f"/v1beta/{file}:download")
    rest = {"range": "bytes=10-", "if-range": whole.headers["etag"]}
    answered = http.get(f"/v1beta/{file}:download", headers=rest)
    assert (answered.status_code, answered.content) == (206, whole.content[10:])


@pytest.mark.parametrize("prefix", ["/v1beta", "/v1", "/v1alpha", ""])
def test_every_version_prefix_serves_batches(http, prefix):
    created = create(http, {"request": REQUEST}, path=f"{prefix}/models/hash").json()
    assert finished(http, created["name"])["metadata"]["model"] == "models/hash"
    assert http.get(f"{prefix}/{created['name']}").status_code == 200
    assert http.get(f"{prefix}/batches?pageSize=1").json()["operations"]


def test_a_large_inline_output_is_streamed_whole(http):
    operation = finished(http, create_inline(http, 20_000)["name"])
    answers = operation["metadata"]["output"]["inlinedResponses"]["inlinedResponses"]
    assert [answer["metadata"]["key"] for answer in answers] == list(range(20_000))
    assert "inlinedResponses" not in operation["response"]


def test_pages_end_without_a_token(http):
    made = [create_inline(http, displayName="paged")["name"] for _ in range(5)]
    for name in made:
        finished(http, name)
    seen, token = [], ""
    while True:
        page = http.get("/v1beta/batches", params={"pageSize": 2, "pageToken": token}).json()
        seen += [each["name"] for each in page["operations"]]
        if "nextPageToken" not in page:
            break
        token = page["nextPageToken"]
    assert seen[:5] == made[::-1]
    assert len(seen) == len(set(seen))


def test_a_list_carries_no_results(http):
    name = create_inline(http, 2)["name"]
    alone = finished(http, name)
    listed = http.get("/v1beta/batches", params={"pageSize": 1}).json()["operations"][0]
    assert (listed["name"], listed["done"]) == (name, True)
    assert listed["metadata"]["batchStats"] == alone["metadata"]["batchStats"]
    assert "output" not in listed["metadata"]
    assert "inlinedResponses" not in listed["response"]
    assert "inlinedResponses" in alone["response"]


def test_what_is_lost_of_an_inline_batch_is_said_at_its_place(tmp_path):
    with batch_server(tmp_path) as url, httpx.Client(base_url=url, timeout=120) as http:
        name = create_inline(http, 2)["name"]
        finished(http, name)
        for part in (tmp_path / name).glob("0*.jsonl"):
            part.unlink()
        damaged = tmp_path / name / "input.jsonl"  # or the results would be computed again
        damaged.write_bytes(damaged.read_bytes().replace(b"text 1", b"text 2"))
        answers = http.get(f"/v1beta/{name}").json()["response"]["inlinedResponses"]["inlinedResponses"]
    assert [(answer["metadata"]["key"], answer["error"]["code"]) for answer in answers] == [(0, 15), (1, 15)]


def test_a_cancelled_file_keeps_the_order_of_its_lines_in_downloads_by_range_too(tmp_path):
    slow = HashEmbedder(names=("gemini-embedding-001",), delay_seconds=0.05)
    with batch_server(tmp_path, slow) as url, httpx.Client(base_url=url, timeout=120) as http:
        file = upload(http, jsonl(*({"key": str(number), "request": REQUEST} for number in range(5000))))
        created = http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"fileName": file}}})
        name = created.json()["name"]
        while http.get(f"/v1beta/{name}").json()["metadata"]["batchStats"]["successfulRequestCount"] == "0":
            time.sleep(0.005)
        assert http.post(f"/v1beta/{name}:cancel").json() == {}
        operation = http.get(f"/v1beta/{name}").json()
        download = f"/v1beta/{operation['metadata']['output']['responsesFile']}:download"
        whole = http.get(download).content
        half = len(whole) // 2
        ranges = [http.get(download, headers={"range": each}) for each in (f"bytes=0-{half}", f"bytes={half + 1}-")]
    stats = operation["metadata"]["batchStats"]
    assert operation["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert stats["pendingRequestCount"] == "0"
    answers = [json.loads(each) for each in whole.splitlines()]
    assert [answer["key"] for answer in answers] == [str(number) for number in range(5000)]
    assert sum("response" in answer for answer in answers) == int(stats["successfulRequestCount"]) > 0
    assert {answer["error"]["code"] for answer in answers if "error" in answer} == {1}
    assert b"".join(each.content for each in ranges) == whole


def test_an_update_changes_what_the_mask_names(http):
    name = create_inline(http, displayName="old", priority=1)["name"]
    updated = http.patch(
        f"/v1beta/{name}:updateEmbedContentBatch",
        params={"updateMask": "displayName"},
        json={"displayName": "new", "priority": "7"},
    ).json()
    assert (updated["displayName"], updated["priority"], updated["name"]) == ("new", "1", name)
    updated = http.patch(f"/v1beta/{name}:updateEmbedContentBatch", json={"priority": "-9223372036854775808"}).json()
    assert (updated["displayName"], updated["priority"]) == ("new", "-9223372036854775808")
    refused = http.patch(f"/v1beta/{name}:updateEmbedContentBatch?update_mask=state", json={})
    assert refused.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_a_deleted_batch_is_gone_with_its_results(http):
    name = upload(http, jsonl({"request": REQUEST}))
    created = http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"fileName": name}}}).json()
    file = finished(http, created["name"])["metadata"]["output"]["responsesFile"]
    assert http.delete(f"/v1beta/{created['name']}").json() == {}
    for gone in (created["name"], file):
        assert http.get(f"/v1beta/{gone}").status_code == 404
    assert http.get(f"/v1beta/{name}").status_code == 200


def test_a_batch_that_has_ended_cannot_be_cancelled(http):
    name = create_inline(http)["name"]
    finished(http, name)
    refused = http.post(f"/v1beta/{name}:cancel")
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")


@pytest.mark.parametrize(
    ("batch", "status", "said"),
    [
        ({}, 400, "batch.input_config"),
        ({"inputConfig": {"fileName": "files/none"}}, 404, "files/none"),
        ({"inputConfig": {"fileName": "files/../../etc/passwd"}}, 400, "batch.input_config.file_name"),
        ({"inputConfig": {"fileName": "/etc/passwd"}}, 400, "batch.input_config.file_name"),
        ({"inputConfig": {"requests": {"requests": []}}}, 400, "at least one request"),
        ({"inputConfig": {"requests": {"requests": [{"request": REQUEST}]}}, "model": "models/hash"}, 400, "model"),
        ({"inputConfig": {"requests": {"requests": [{"request": REQUEST}]}}, "nonsense": 1}, 400, "nonsense"),
    ],
)
def test_what_is_wrong_with_a_batch_is_named(http, batch, status, said):
    refused = http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": batch})
    assert refused.status_code == status
    assert said in refused.json()["error"]["message"]


def test_an_unknown_model_is_not_found(http):
    refused = create(http, {"request": REQUEST}, path="/v1beta/models/none")
    assert refused.status_code == 404
    assert "asyncBatchEmbedContent" in refused.json()["error"]["message"]


@pytest.mark.parametrize("name", ["none", "..%2Fetc", "a.b", "A", "x" * 100, "%2e%2e"])
def test_a_name_that_is_no_batch_is_refused(http, name):
    for method, path in (("GET", name), ("DELETE", name), ("POST", f"{name}:cancel")):
        assert http.request(method, f"/v1beta/batches/{path}").status_code in {400, 404, 405}


def test_a_file_without_requests_is_refused(http):
    name = upload(http, b"\n\n")
    refused = http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"fileName": name}}})
    assert refused.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_batches_belong_to_the_key_that_made_them(tmp_path):
    with batch_server(tmp_path, api_key="mine,theirs") as url:
        mine = httpx.Client(base_url=url, timeout=120, headers={"x-goog-api-key": "mine"})
        theirs = httpx.Client(base_url=url, timeout=120, headers={"x-goog-api-key": "theirs"})
        with mine, theirs:
            file = upload(mine, jsonl({"request": REQUEST}))
            stolen = {"batch": {"inputConfig": {"fileName": file}}}
            assert theirs.post(f"{MODEL}:asyncBatchEmbedContent", json=stolen).status_code == 404
            created = mine.post(f"{MODEL}:asyncBatchEmbedContent", json=stolen).json()
            output = finished(mine, created["name"])["metadata"]["output"]["responsesFile"]
            for method, path in (
                ("GET", created["name"]),
                ("DELETE", created["name"]),
                ("POST", created["name"] + ":cancel"),
                ("PATCH", created["name"] + ":updateEmbedContentBatch"),
                ("GET", output),
                ("GET", output + ":download"),
            ):
                body = {} if method == "PATCH" else None
                assert theirs.request(method, f"/v1beta/{path}", json=body).status_code == 404
            assert theirs.get("/v1beta/batches").json()["operations"] == []
            assert mine.get(f"/v1beta/{created['name']}").status_code == 200


def test_a_second_server_is_kept_off_the_database_with_the_first_ones_batches(running_whole, tmp_path, postgresql_url):
    first, second = (running_whole(tmp_path / name, database_url=postgresql_url) for name in ("first", "second"))
    with first as http:
        with pytest.raises(DataFolderLocked, match="database"), second:
            pass
        assert http.get("/v1beta/batches").status_code == 200


def test_a_restarted_server_goes_on_with_what_it_accepted(tmp_path):
    slow = HashEmbedder(names=("gemini-embedding-001",))
    slow.faults = [MemoryError()] * 1000
    with batch_server(tmp_path, slow) as url, httpx.Client(base_url=url, timeout=120) as http:
        name = create_inline(http, 1000)["name"]
    with batch_server(tmp_path) as url, httpx.Client(base_url=url, timeout=120) as http:
        metadata = finished(http, name)["metadata"]
    assert metadata["batchStats"]["successfulRequestCount"] == "1000"


def test_a_parked_batch_says_what_it_waits_for(tmp_path):
    stuck = HashEmbedder(names=("gemini-embedding-001",))
    stuck.faults = [MemoryError()] * 1000
    with batch_server(tmp_path, stuck) as url, httpx.Client(base_url=url, timeout=120) as http:
        name = create_inline(http)["name"]
        while not http.get(f"/v1beta/{name}").json()["metadata"].get("waitingReason"):
            time.sleep(0.01)
        assert http.post(f"/v1beta/{name}:cancel").json() == {}
        cancelled = http.get(f"/v1beta/{name}").json()
    assert cancelled["error"] == {"code": 1, "message": "The batch was cancelled."}
    assert cancelled["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert "response" not in cancelled
    (answer,) = cancelled["metadata"]["output"]["inlinedResponses"]["inlinedResponses"]
    assert answer == {"metadata": {"key": 0}, "error": {"code": 1, "message": "The batch was cancelled."}}


def waited(sdk, job):
    while not job.done:
        time.sleep(0.005)
        job = sdk.batches.get(name=job.name)
    return job


@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_google_genai_runs_inlined_requests(sdk):
    config = types.EmbedContentConfig(output_dimensionality=3, task_type="RETRIEVAL_DOCUMENT", title="T")
    source = types.EmbeddingsBatchJobSource(
        inlined_requests=types.EmbedContentBatch(contents=["a", "b"], config=config)
    )
    created = sdk.batches.create_embeddings(
        model="gemini-embedding-001", src=source, config={"display_name": "by the SDK"}
    )
    job = waited(sdk, created)
    assert (job.state, job.display_name) == (types.JobState.JOB_STATE_SUCCEEDED, "by the SDK")
    assert job.create_time <= job.end_time
    responses = job.dest.inlined_embed_content_responses
    for response, text in zip(responses, "ab", strict=True):
        assert np.array_equal(np.float32(response.response.embedding.values), vector_of(text, 2, "T", 3))
        assert response.response.token_count == 1


@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_google_genai_runs_a_file_and_manages_batches(sdk, tmp_path):
    source = tmp_path / "requests.jsonl"
    source.write_bytes(jsonl(*({"key": str(number), "request": REQUEST} for number in range(300))))
    file = sdk.files.upload(file=source, config={"mime_type": "jsonl"})
    created = sdk.batches.create_embeddings(model="gemini-embedding-001", src={"file_name": file.name})
    job = waited(sdk, created)
    lines = sdk.files.download(file=job.dest.file_name).splitlines()
    assert [json.loads(each)["key"] for each in lines] == [str(number) for number in range(300)]
    assert created.name in [each.name for each in sdk.batches.list(config={"page_size": 3})]
    with pytest.raises(errors.ClientError, match="FAILED_PRECONDITION"):
        sdk.batches.cancel(name=created.name)
    sdk.batches.delete(name=created.name)
    with pytest.raises(errors.ClientError, match="NOT_FOUND"):
        sdk.batches.get(name=created.name)


@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_google_genai_cancels(tmp_path):
    stuck = HashEmbedder(names=("gemini-embedding-001",))
    stuck.faults = [MemoryError()] * 1000
    with batch_server(tmp_path, stuck) as url, genai.Client(api_key="k", http_options={"base_url": url}) as sdk:
        source = types.EmbeddingsBatchJobSource(inlined_requests=types.EmbedContentBatch(contents=["a"]))
        job = sdk.batches.create_embeddings(model="gemini-embedding-001", src=source)
        sdk.batches.cancel(name=job.name)
        assert sdk.batches.get(name=job.name).state is types.JobState.JOB_STATE_CANCELLED


def test_a_priority_and_a_batch_beyond_the_limits_are_refused(running_whole, tmp_path, tiny_folder):
    with running_whole(tmp_path, max_priority="2", max_open_batches="1") as http:
        request = {"request": {"content": {"parts": [{"text": "a"}]}}}
        refused = create(http, request, path="/v1beta/models/tiny", priority="3")
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert refused.json()["error"]["details"][0]["fieldViolations"][0]["field"] == "batch.priority"
        answers = [create(http, *[request] * 2000, path="/v1beta/models/tiny", priority="2") for _ in range(2)]
        assert [each.status_code for each in answers] == [200, 429]
        assert "may have 1 batches open" in answers[1].json()["error"]["message"]


def test_damaged_results_are_503_until_they_are_computed_again(running_whole, tmp_path):
    with running_whole(tmp_path) as http:
        created = create_inline(http, 3)
        whole = finished(http, created["name"])
        [part] = (tmp_path / "batches").glob("*/0*.jsonl")
        part.write_bytes(part.read_bytes()[:-20])
        refused = http.get(f"/v1beta/{created['name']}")
        assert (refused.status_code, refused.json()["error"]["status"]) == (503, "UNAVAILABLE")
        assert "retry-after" in refused.headers
        while (again := http.get(f"/v1beta/{created['name']}")).status_code == 503:
            time.sleep(0.05)
        assert again.json()["response"] == whole["response"]
