"""Keys that the operator makes: their limits, models, expiry and revocation, while the server runs."""

import time
from datetime import timedelta

import pytest

from gemvec.errors import BadSetting
from gemvec.server import key_removal, key_ring
from gemvec.server.auth import require_keys
from gemvec.server.key_limits import KeyLimits
from gemvec.server.keys import KeyStore
from gemvec.server.limits import Limits
from gemvec.server.quota import per_minute_requests
from gemvec.settings import Settings
from gemvec.storage.database import database_of, open_database
from gemvec.storage.timestamps import utc_now
from hash_embedder import HashEmbedder
from word_embedder import WordEmbedder

MODEL = "models/gemini-embedding-001"
BODY = {"content": {"parts": [{"text": "hello"}]}}


@pytest.fixture
def store(tmp_path):
    """The keys as `gemvec keys` changes them: another connection to the same database."""
    database = open_database(database_of(Settings(data_dir=tmp_path)))
    yield KeyStore(database)
    database.close()


@pytest.fixture
def http(running_whole, tmp_path, store):
    store.create("operator")
    with running_whole(tmp_path) as http:
        yield http


def headers(secret):
    return {"x-goog-api-key": secret}


def embed(http, secret, model=MODEL):
    return http.post(f"/v1beta/{model}:embedContent", json=BODY, headers=headers(secret))


def soon(condition):
    """Say whether something becomes true; the server believes for a second what it read."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_made_key_is_taken_and_a_made_up_one_is_not(http, store):
    _, secret = store.create("laptop")
    assert embed(http, secret).status_code == 200
    assert embed(http, secret + "x").json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert http.get("/v1beta/models").status_code == 403


def test_the_model_knows_whose_turn_it_is(running, tmp_path, store):
    key, secret = store.create("laptop")
    embedder = HashEmbedder(names=("gemini-embedding-001",))
    with running(embedder, data_dir=tmp_path, api_key=("other",)) as http:
        assert embed(http, secret).status_code == 200
    assert embedder.callers == {key.key_id}


def test_without_a_key_a_caller_is_its_address(running, tmp_path):
    embedder = HashEmbedder(names=("gemini-embedding-001",))
    with running(embedder, data_dir=tmp_path) as http:
        assert http.post(f"/v1beta/{MODEL}:embedContent", json=BODY).status_code == 200
    assert embedder.callers == {"127.0.0.1"}


def test_keys_of_the_settings_and_made_keys_are_both_taken(running_whole, tmp_path, store):
    _, secret = store.create("laptop")
    with running_whole(tmp_path, api_key="from-settings") as http:
        assert embed(http, secret).status_code == 200
        assert embed(http, "from-settings").status_code == 200
        assert embed(http, "other").status_code == 400


def test_the_first_key_closes_a_running_server(running_whole, tmp_path, store):
    with running_whole(tmp_path) as http:
        assert http.get("/v1beta/models").status_code == 200
        _, secret = store.create("first")
        assert soon(lambda: http.get("/v1beta/models").status_code == 403)
        assert embed(http, secret).status_code == 200


def test_a_revoked_key_is_refused_while_the_server_runs(http, store):
    _, secret = store.create("laptop")
    assert embed(http, secret).status_code == 200
    store.revoke("laptop")
    assert soon(lambda: embed(http, secret).status_code == 400)


def test_revoking_every_key_lets_nobody_in(http, store):
    store.revoke("operator")
    assert http.get("/v1beta/models").status_code == 403


def test_a_key_stops_at_the_moment_it_expires(http, store, monkeypatch):
    end = utc_now() + timedelta(hours=1)
    _, secret = store.create("short", expires_at=end)
    assert embed(http, secret).status_code == 200
    monkeypatch.setattr(key_ring, "utc_now", lambda: end)
    assert embed(http, secret).status_code == 400, "though the server has just read that it is good"


def test_a_key_is_for_the_models_it_was_made_for(http, store):
    _, secret = store.create("ci", models=("gemini-embedding-001",))
    assert embed(http, secret).status_code == 200
    refused = embed(http, secret, "models/tiny")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "models/tiny" in refused.json()["error"]["message"]
    for path in ("/embed", "/embed_all"):
        assert http.post(path, json={"inputs": "a"}, headers=headers(secret)).status_code == 403
    batch = {"batch": {"inputConfig": {"requests": {"requests": [{"request": BODY}]}}}}
    answer = http.post("/v1beta/models/tiny:asyncBatchEmbedContent", json=batch, headers=headers(secret))
    assert answer.status_code == 403


def test_a_list_shows_only_what_the_key_may_use(http, store):
    _, secret = store.create("ci", models=("gemini-embedding-001",))
    assert [each["name"] for each in http.get("/v1beta/models", headers=headers(secret)).json()["models"]] == [MODEL]
    listed = http.get("/v1beta/openai/models", headers={"authorization": f"Bearer {secret}"}).json()["data"]
    assert [each["id"] for each in listed] == ["gemini-embedding-001"]
    assert http.get("/v1beta/models/tiny", headers=headers(secret)).status_code == 403


def test_info_tells_a_key_its_own_limits(http, store):
    _, secret = store.create("ci", models=("tiny",), limits=KeyLimits(tokens_per_minute=3000))
    info = http.get("/info", headers=headers(secret)).json()
    assert info["models"] == ["tiny"]
    assert info["limits"]["tokens_per_minute"] == 3000


def test_a_keys_limit_is_for_all_models_together(http, store):
    _, secret = store.create("ci", limits=KeyLimits(requests_per_minute=2))
    _, other = store.create("other")
    assert [embed(http, secret, model).status_code for model in (MODEL, "models/tiny", MODEL)] == [200, 200, 429]
    refused = embed(http, secret).json()["error"]
    violation = next(each for each in refused["details"] if "violations" in each)["violations"][0]
    assert violation["quotaId"] == "EmbedRequestsPerMinutePerKey"
    assert violation["quotaValue"] == "2"
    assert "operator" in refused["message"]
    assert embed(http, other).status_code == 200


def test_a_keys_tokens_are_limited(http, store):
    _, secret = store.create("ci", limits=KeyLimits(tokens_per_minute=3))
    assert embed(http, secret).status_code == 200
    assert soon(lambda: embed(http, secret).status_code == 429)


def test_files_belong_to_their_key(http, store):
    (_, mine), (_, yours) = store.create("mine"), store.create("yours")
    upload = {"x-goog-upload-protocol": "raw", "content-type": "text/plain"}
    name = http.post("/upload/v1beta/files", content=b"x", headers=upload | headers(mine)).json()["file"]["name"]
    assert http.get(f"/v1beta/{name}", headers=headers(mine)).status_code == 200
    assert http.get(f"/v1beta/{name}", headers=headers(yours)).status_code == 404
    assert http.get("/v1beta/files", headers=headers(yours)).json() == {}


def test_batches_belong_to_their_key(http, store):
    (_, mine), (_, yours) = store.create("mine"), store.create("yours")
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": BODY}]}}}}
    made = http.post(f"/v1beta/{MODEL}:asyncBatchEmbedContent", json=body, headers=headers(mine)).json()["name"]
    assert http.get(f"/v1beta/{made}", headers=headers(mine)).status_code == 200
    for method, path in [("GET", ""), ("POST", ":cancel"), ("DELETE", "")]:
        assert http.request(method, f"/v1beta/{made}{path}", headers=headers(yours)).status_code == 404
    assert not http.get("/v1beta/batches", headers=headers(yours)).json().get("operations")


def upload(http, secret, content=b"x"):
    raw = {"x-goog-upload-protocol": "raw", "content-type": "text/plain"}
    return http.post("/upload/v1beta/files", content=content, headers=raw | headers(secret)).json()["file"]["name"]


def create_batch(http, secret):
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": BODY}]}}}}
    return http.post(f"/v1beta/{MODEL}:asyncBatchEmbedContent", json=body, headers=headers(secret)).json()["name"]


def test_files_and_batches_survive_a_rotation(http, store):
    _, first = store.create("laptop")
    names = [upload(http, first), create_batch(http, first)]
    _, second = store.rotate("laptop")
    assert soon(lambda: embed(http, first).status_code == 400)
    for name in names:
        assert http.get(f"/v1beta/{name}", headers=headers(second)).status_code == 200


def test_after_the_last_key_is_deleted_a_server_on_loopback_asks_for_none_and_says_so(http, store, caplog):
    assert http.get("/v1beta/models").status_code == 403
    store.delete("operator")
    assert soon(lambda: http.get("/v1beta/models", headers=headers("any")).status_code == 200)
    assert "callers need no key now" in caplog.text


def test_what_a_deleted_key_owned_is_removed(running_whole, tmp_path, store, monkeypatch):
    monkeypatch.setattr(key_removal, "_GRACE", timedelta(0))
    store.create("operator")
    _, secret = store.create("laptop")
    with running_whole(tmp_path) as http:
        upload(http, secret)
        create_batch(http, secret)
        assert embed(http, secret).status_code == 200
    assert any((tmp_path / "batches").iterdir())
    store.delete("laptop")
    with running_whole(tmp_path):
        assert soon(lambda: not [*(tmp_path / "batches").iterdir(), *(tmp_path / "files").iterdir()])
    assert store.delete("operator") is False


def test_only_an_admin_key_reads_the_metrics(http, store):
    (_, user), (_, admin) = store.create("laptop"), store.create("prometheus", is_admin=True)
    refused = http.get("/metrics", headers=headers(user))
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "gemvec keys create --admin" in refused.json()["error"]["message"]
    assert http.get("/metrics", headers=headers(admin)).status_code == 200


def test_models_are_named_only_to_callers_who_may_use_them(http, store):
    _, secret = store.create("ci", models=("gemini-embedding-001",))
    _, admin = store.create("operator 2", is_admin=True)
    unknown = http.get("/").json()
    assert unknown["name"] == "gemvec"
    assert not unknown.keys() & {"models", "weights"}
    assert "tiny@" not in http.get("/docs").text
    assert http.get("/", headers=headers(secret)).json()["models"] == ["gemini-embedding-001"]
    assert "tiny" in http.get("/", headers=headers(admin)).json()["models"]
    assert "tiny@" in http.get("/docs", headers=headers(admin)).text


def test_the_use_of_each_key_is_counted(http, store):
    _, secret = store.create("laptop")
    _, admin = store.create("prometheus", is_admin=True)
    for _ in range(2):
        tokens = embed(http, secret).json()["usageMetadata"]["promptTokenCount"]
    lines = http.get("/metrics", headers=headers(admin)).text.splitlines()
    for name, value in (("calls", 2), ("texts", 2), ("tokens", 2 * tokens)):
        assert f'gemvec_key_{name}_total{{key="laptop"}} {float(value)}' in lines


def test_an_admin_reads_what_a_key_has_used_today(http, store):
    _, secret = store.create("lap top")
    _, admin = store.create("prometheus", is_admin=True)
    tokens = embed(http, secret).json()["usageMetadata"]["promptTokenCount"]
    path = "/console/data/keys:usage?name=lap%20top"
    days = http.get(path, headers=headers(admin)).json()["days"]
    assert (len(days), days[-1]["day"]) == (90, utc_now().date().isoformat())
    assert days[-1] == days[-1] | {"calls": "1", "texts": "1", "tokens": str(tokens)}
    assert http.get("/console/data/keys:usage?name=nobody", headers=headers(admin)).status_code == 404
    assert http.get(path, headers=headers(secret)).status_code == 403


def test_a_made_key_is_enough_to_listen_for_others(tmp_path, store):
    settings = Settings(host="0.0.0.0", data_dir=tmp_path)
    with pytest.raises(BadSetting, match="gemvec keys create"):
        require_keys(settings)
    store.create("laptop")
    require_keys(settings)


@pytest.mark.parametrize(("unit", "limit"), [("requests_per_day", 1), ("tokens_per_day", 3)])
def test_a_keys_use_in_a_day_is_limited(http, store, unit, limit):
    (_, secret), (_, other) = store.create("ci", limits=KeyLimits(**{unit: limit})), store.create("other")
    assert [embed(http, key).status_code for key in (secret, secret, other, other)] == [200, 429, 200, 200]
    details = embed(http, secret).json()["error"]["details"]
    violation = next(each for each in details if "violations" in each)["violations"][0]
    assert violation["quotaId"] == f"Embed{unit.split('_')[0].capitalize()}PerDayPerKey"
    assert http.get("/info", headers=headers(secret)).json()["limits"][unit] == limit


def begin_upload(http, secret, size=1):
    start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    length = {"X-Goog-Upload-Header-Content-Length": str(size)}
    return http.post("/upload/v1beta/files", headers=start | length | headers(secret)).status_code


def batch_status(http, secret, *, priority=0, count=1):
    requests = [{"request": BODY}] * count
    body = {"batch": {"inputConfig": {"requests": {"requests": requests}}, "priority": str(priority)}}
    return http.post(f"/v1beta/{MODEL}:asyncBatchEmbedContent", json=body, headers=headers(secret)).status_code


def test_uploads_begun_are_limited_for_each_key(http, store):
    (_, small), (_, other) = store.create("small", limits=KeyLimits(max_open_uploads=1)), store.create("other")
    assert [begin_upload(http, key) for key in (small, small, other, other)] == [200, 429, 200, 200]


def test_stored_bytes_are_limited_for_each_key(http, store):
    (_, small), (_, other) = store.create("small", limits=KeyLimits(max_stored_bytes=100)), store.create("other")
    assert [begin_upload(http, key, 60) for key in (small, small, other, other)] == [200, 429, 200, 200]
    assert [batch_status(http, key) for key in (small, other)] == [429, 200], "results are stored, too"


def test_open_batches_are_limited_for_each_key(http, store):
    (_, small), (_, other) = store.create("small", limits=KeyLimits(max_open_batches=1)), store.create("other")
    assert [batch_status(http, key, count=2000) for key in (small, small, other, other)] == [200, 429, 200, 200]


def test_priorities_are_limited_for_each_key(http, store):
    (_, small), (_, other) = store.create("small", limits=KeyLimits(max_priority=2)), store.create("other")
    assert [batch_status(http, key, priority=3) for key in (small, other)] == [400, 200]
    assert batch_status(http, small, priority=2) == 200


def test_a_key_may_have_more_than_the_server_lets_every_key_have(running_whole, tmp_path, store):
    (_, large), (_, other) = store.create("large", limits=KeyLimits(max_open_uploads=2)), store.create("other")
    with running_whole(tmp_path, max_open_uploads="1") as http:
        assert [begin_upload(http, key) for key in (large, large, large, other, other)] == [200, 200, 429, 200, 429]


def test_a_running_server_keeps_to_changed_limits(http, store):
    _, secret = store.create("ci")
    assert (embed(http, secret).status_code, begin_upload(http, secret)) == (200, 200)
    store.set_limits("ci", {"requests_per_minute": 1, "max_open_uploads": 1})
    assert begin_upload(http, secret) == 429
    assert soon(lambda: embed(http, secret).status_code == 429)
    store.set_limits("ci", {"requests_per_minute": None, "max_open_uploads": None})
    assert begin_upload(http, secret) == 200
    assert soon(lambda: embed(http, secret).status_code == 200)


def test_an_alias_of_a_key_is_listed_and_served_to_this_key_only(http, store):
    (_, mine), (_, other) = store.create("mine", aliases={"text-small": "tiny"}), store.create("other")
    answer = embed(http, mine, "models/text-small")
    assert answer.json()["embedding"] == embed(http, mine, "models/tiny").json()["embedding"]
    assert answer.headers["x-gemvec-model"].startswith("tiny@")
    assert embed(http, other, "models/text-small").status_code == 404
    for secret, is_listed in ((mine, True), (other, False)):
        bearer = {"authorization": f"Bearer {secret}"}
        listed = {each["id"] for each in http.get("/v1/models", headers=bearer).json()["data"]}
        assert ("text-small" in listed) is is_listed
        assert ("text-small" in http.get("/", headers=headers(secret)).json()["models"]) is is_listed
    openai = {"model": "text-small", "input": "hello"}
    assert http.post("/v1/embeddings", json=openai, headers={"authorization": f"Bearer {mine}"}).status_code == 200
    tokens = http.post(
        "/v1beta/models/text-small:countTokens", json={"contents": [BODY["content"]]}, headers=headers(mine)
    )
    assert tokens.json()["totalTokens"] > 0


def test_an_alias_of_a_key_comes_before_the_names_of_the_server(http, store):
    _, mine = store.create("mine", aliases={"tiny": "gemini-embedding-001", "gemini-embedding-2": "nothing"})
    own = embed(http, mine).json()["embedding"]
    assert embed(http, mine, "models/tiny").json()["embedding"] == own
    refused = embed(http, mine, "models/gemini-embedding-2")
    assert (refused.status_code, "models/nothing" in refused.json()["error"]["message"]) == (404, True)
    assert "alias gemini-embedding-2" in refused.json()["error"]["message"]
    listed = [each["name"] for each in http.get("/v1beta/models", headers=headers(mine)).json()["models"]]
    assert "models/gemini-embedding-2" not in listed
    assert listed.count("models/tiny") == 1


def test_the_tokens_of_texts_are_embedded_under_the_limits_and_the_name_of_a_key(http, store):
    limits = KeyLimits(requests_per_minute=2)
    name = "gemini-embedding-001"
    _, mine = store.create("mine", aliases={"tiny": name}, models=(name,), limits=limits)
    answers = [http.post("/embed_all", json={"inputs": "the dog"}, headers=headers(mine)) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert http.post("/embed_all", json={"inputs": "the dog"}).status_code == 401
    _, admin = store.create("prometheus", is_admin=True)
    lines = http.get("/metrics", headers=headers(admin)).text.splitlines()
    assert 'gemvec_key_texts_total{key="mine"} 2.0' in lines


def test_an_alias_reaches_what_a_key_for_some_models_may_use_and_nothing_else(http, store):
    _, mine = store.create("mine", models=("gemini-embedding-001",), aliases={"small": "gemini-embedding-001"})
    assert [embed(http, mine, f"models/{name}").status_code for name in ("small", "tiny")] == [200, 403]
    listed = [each["name"] for each in http.get("/v1beta/models", headers=headers(mine)).json()["models"]]
    assert sorted(listed) == [MODEL, "models/small"]


def test_a_batch_under_an_alias_of_a_key_is_refused_with_the_name_to_use(http, store):
    _, mine = store.create("mine", aliases={"small": "tiny"})
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": BODY}]}}}}
    refused = http.post("/v1beta/models/small:asyncBatchEmbedContent", json=body, headers=headers(mine))
    assert (refused.status_code, "name models/tiny" in refused.json()["error"]["message"]) == (400, True)


@pytest.fixture
def two_models(running, tmp_path, store):
    """A server of the models `one` and `two`, of which the first is the default."""
    store.create("operator")
    with running(WordEmbedder("one", "two"), data_dir=tmp_path) as http:
        yield http


def test_what_describes_the_default_model_describes_what_answers_the_key(two_models, store):
    _, mine = store.create("mine", aliases={"one": "two"})
    answered = two_models.post("/embed", json={"inputs": "a"}, headers=headers(mine)).headers["x-gemvec-model"]
    assert answered == "two@00000001"
    info = two_models.get("/info", headers=headers(mine)).json()
    assert (info["model_id"], info["served_model_name"]) == ("two", "one")
    assert two_models.get("/", headers=headers(mine)).json()["weights"] == answered
    assert answered in two_models.get("/docs", headers=headers(mine)).text


def test_a_default_model_that_means_nothing_to_a_key_is_not_described(two_models, store):
    _, mine = store.create("mine", aliases={"one": "nothing"})
    for path in ("/embed", "/embed_all"):
        assert two_models.post(path, json={"inputs": "a"}, headers=headers(mine)).status_code == 404
    assert two_models.get("/info", headers=headers(mine)).status_code == 404
    assert "weights" not in two_models.get("/", headers=headers(mine)).json()


def test_an_alias_of_a_key_has_no_limit_beside_that_of_the_model_it_means(running_whole, tmp_path, store):
    _, mine = store.create("mine", aliases={"small": "gemini-embedding-001"})
    with running_whole(tmp_path, limits=Limits(quotas=(per_minute_requests(1),))) as http:
        assert embed(http, mine).status_code == 200
        assert embed(http, mine, "models/small").status_code == 429
