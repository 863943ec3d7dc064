"""Calls that another server answers: one address for a whole program, with a real server behind."""

import asyncio
import json
import socket
import threading

import httpx
import pytest
from google import genai
from google.genai import errors
from openai import OpenAI
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gemvec.errors import BadSetting
from gemvec.gateway.pass_through import PassThrough
from gemvec.server.key_limits import KeyLimits
from gemvec.server.keys import KeyStore
from gemvec.server.upstream import open_pass_through
from gemvec.settings import Settings
from gemvec.storage.database import database_of, open_database
from scripted_server import serving

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
ANSWER = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Paris."}]}, "finishReason": "STOP"}]}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "gemini-2.5-flash",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris."}}],
}
EMBED_BODY = {"content": {"parts": [{"text": "Hello"}]}}


class Behind:
    """The server behind: notes what comes, and answers as `answer` says, or in events while `may_go_on` is set."""

    def __init__(self):
        self.seen = []
        self.answer = lambda: Response(json.dumps(ANSWER), media_type="application/json")
        self.may_go_on = threading.Event()
        self.has_begun = threading.Event()
        self.was_left = threading.Event()

    async def __call__(self, request):
        body = await request.body()
        self.seen.append(
            {
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "query": request.scope["query_string"].decode(),
                "headers": dict(request.headers),
                "body": body,
            }
        )
        self.has_begun.set()
        return self.answer()

    def stream(self, events):
        async def blocks():
            try:
                for number, event in enumerate(events):
                    while number and not self.may_go_on.is_set():  # noqa: ASYNC110 - set from the test's thread
                        await asyncio.sleep(0.005)
                    yield f"data: {json.dumps(event)}\r\n\r\n".encode()
            except asyncio.CancelledError:
                self.was_left.set()
                raise

        self.answer = lambda: StreamingResponse(blocks(), media_type="text/event-stream")


@pytest.fixture(scope="module")
def _behind():
    server = Behind()
    app = Starlette(routes=[Route("/{path:path}", server.__call__, methods=["GET", "POST", "DELETE", "PATCH"])])
    with serving(app) as server.url:
        yield server


@pytest.fixture
def behind(_behind):
    """The server behind, as new."""
    url = _behind.url
    _behind.__init__()
    _behind.url = url
    yield _behind
    _behind.may_go_on.set()


@pytest.fixture(scope="module")
def front(_behind, running):
    """An HTTP client of a gemvec server that embeds with the tiny model and passes other calls on, with no key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GEMINI_API_KEY", raising=False)
        with running(pass_through=_behind.url) as client:
            yield client


@pytest.fixture
def keyed(behind, running, monkeypatch):
    """The same, with this server's key for the one behind."""
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-the-server")
    with running(pass_through=behind.url) as client:
        yield client


def sdk(client):
    return genai.Client(api_key="any", http_options={"base_url": str(client.base_url)})


def test_the_sdk_generates_and_embeds_at_one_address(front, behind):
    with sdk(front) as client:
        answer = client.models.generate_content(model="gemini-2.5-flash", contents="What is the capital of France?")
        embedded = client.models.embed_content(model="gemini-embedding-001", contents="Paris")
    assert answer.text == "Paris."
    assert len(embedded.embeddings) == 1
    assert [each["path"].rpartition("/")[2] for each in behind.seen] == ["gemini-2.5-flash:generateContent"]


def test_a_streamed_answer_comes_event_by_event(front, behind):
    behind.stream([ANSWER, ANSWER, ANSWER])
    with sdk(front) as client:
        parts = client.models.generate_content_stream(model="gemini-2.5-flash", contents="?")
        assert next(parts).text == "Paris."  # the server behind holds the others back
        behind.may_go_on.set()
        assert [each.text for each in parts] == ["Paris.", "Paris."]


def test_names_that_are_not_served_here_are_asked_behind(front, behind):
    with sdk(front) as client:
        behind.answer = lambda: Response('{"totalTokens": 7}', media_type="application/json")
        assert client.models.count_tokens(model="gemini-2.5-flash", contents="a b c").total_tokens == 7
        behind.answer = lambda: Response('{"name": "models/gemini-2.5-flash"}', media_type="application/json")
        assert client.models.get(model="gemini-2.5-flash").name == "models/gemini-2.5-flash"
        behind.answer = lambda: Response('{"name": "batches/ofgoogle"}', media_type="application/json")
        assert client.batches.get(name="batches/ofgoogle").name == "batches/ofgoogle"
        behind.seen.clear()
        assert client.models.count_tokens(model="gemini-embedding-001", contents="Hello").total_tokens
    assert behind.seen == []


def test_openais_client_chats_through_googles_path(front, behind):
    behind.answer = lambda: Response(json.dumps(COMPLETION), media_type="application/json")
    with OpenAI(base_url=f"{front.base_url}/v1beta/openai/", api_key="any") as client:
        messages = [{"role": "user", "content": "?"}]
        answer = client.chat.completions.create(model="gemini-2.5-flash", messages=messages)
    assert answer.choices[0].message.content == "Paris."
    assert behind.seen[0]["path"] == "/v1beta/openai/chat/completions"


def test_method_path_query_and_body_go_as_they_came(front, behind):
    body = b'{"contents" : [ ] }\n'
    front.request("PATCH", "/v1beta/cachedContents/a%20b%2Fc?updateMask=ttl&x=%26", content=body)
    [seen] = behind.seen
    assert (seen["method"], seen["path"]) == ("PATCH", "/v1beta/cachedContents/a%20b%2Fc")
    assert (seen["query"], seen["body"]) == ("updateMask=ttl&x=%26", body)


def test_of_the_headers_go_those_of_the_call_and_no_others(front, behind):
    sent = {
        "content-type": "application/json; charset=utf-8",
        "x-goog-api-client": "google-genai-sdk/3",
        "user-agent": "program/1",
        "cookie": "session=1",
        "x-forwarded-for": "10.0.0.7",
        "proxy-authorization": "Basic c2VjcmV0",
        "x-amzn-oidc-data": "who",
    }
    front.post(GENERATE, content=b"{}", headers=sent)
    headers = behind.seen[0]["headers"]
    assert {name: headers.get(name) for name in list(sent)[:3]} == dict(list(sent.items())[:3])
    assert not {"cookie", "x-forwarded-for", "proxy-authorization", "x-amzn-oidc-data"} & headers.keys()


def test_the_answer_comes_back_with_its_status_headers_and_body_and_says_who_made_it(front, behind):
    refused = {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}
    headers = {"retry-after": "7", "x-goog-thing": "1", "set-cookie": "a=b", "content-type": "application/json"}
    behind.answer = lambda: Response(json.dumps(refused), 429, headers)
    answer = front.post(GENERATE, json={})
    assert (answer.status_code, answer.json()) == (429, refused)
    assert (answer.headers["retry-after"], answer.headers["x-goog-thing"]) == ("7", "1")
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-gemvec-passed-to"] == behind.url.removeprefix("http://")
    assert "x-gemvec-passed-to" not in front.get("/v1beta/models").headers


def test_a_redirect_is_the_callers_to_follow(front, behind):
    behind.answer = lambda: Response(b"", 302, {"location": "https://example.org/elsewhere"})
    answer = front.get("/v1beta/files/ofgoogle:download?alt=media")
    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.org/elsewhere")


def test_errors_reach_the_sdk_as_the_server_behind_made_them(front, behind):
    refused = {"error": {"code": 400, "message": "No such thing.", "status": "INVALID_ARGUMENT"}}
    behind.answer = lambda: Response(json.dumps(refused), 400, media_type="application/json")
    with sdk(front) as client, pytest.raises(errors.ClientError, match="No such thing"):
        client.models.generate_content(model="gemini-2.5-flash", contents="?")


def test_calls_about_embeddings_are_never_passed_on(front, behind):
    for method in ("embedContent", "batchEmbedContents", "asyncBatchEmbedContent"):
        answer = front.post(f"/v1beta/models/unknown-embedding:{method}", json=EMBED_BODY | {"requests": [EMBED_BODY]})
        assert answer.status_code in {400, 404}
    paths = ["/v1/embeddings", "/embed_sparse", "/v1/embed", "/EMBED", "/api/v1/embeddings", "/embeddings/x"]
    paths += [
        f"/v1beta/{name}" for name in ("models/gecko:embedText", "tunedModels/x:embedContent", "models/x:embed;a")
    ]
    for path in paths:
        assert front.post(path, json={"model": "unknown", "input": "a", "texts": ["a"]}).status_code == 404
    assert behind.seen == []


def test_a_query_may_have_an_address_in_it(front, behind):
    assert front.get("/v1beta/cachedContents", params={"filter": "uri=http://a"}).status_code == 200
    assert "http" in behind.seen[0]["query"]


def test_tokens_of_what_is_not_text_are_counted_by_the_other_server(front, behind):
    body = {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}]}
    assert front.post("/v1beta/models/g:countTokens", json=body).status_code == 200
    assert len(behind.seen) == 1


def test_an_error_that_is_too_long_is_not_passed_on_in_part(front, behind):
    behind.answer = lambda: Response(b"x" * 3 * 2**20, 400)
    assert front.post(GENERATE, json={}).status_code == 502


def test_the_other_server_does_not_decide_which_pages_may_read(front, behind):
    behind.answer = lambda: Response(b"{}", headers={"access-control-allow-origin": "*"})
    assert "access-control-allow-origin" not in front.post(GENERATE, json={}).headers


def test_a_caller_who_leaves_ends_the_call_behind(front, behind):
    behind.stream([ANSWER, ANSWER])
    with front.stream("POST", GENERATE, json={}) as answer:
        assert next(answer.iter_raw())
    assert behind.was_left.wait(10)


def test_an_answer_of_any_size_passes_in_pieces(front, behind):
    block = bytes(range(256)) * 1024

    async def blocks():
        for _ in range(40):
            yield block

    behind.answer = lambda: StreamingResponse(blocks(), media_type="application/octet-stream")
    assert front.get("/v1beta/files/ofgoogle:download").content == block * 40


def test_a_server_behind_that_breaks_off_breaks_the_answer_off(front, behind):
    async def blocks():
        yield b"data: 1\n\n"
        raise RuntimeError("broken off")

    behind.answer = lambda: StreamingResponse(blocks(), media_type="text/event-stream")
    with pytest.raises(httpx.RemoteProtocolError):
        front.post(GENERATE, json={})


def test_a_server_behind_that_is_not_there_is_503(running, monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with running(pass_through="http://127.0.0.1:1") as client:
        answer = client.post(GENERATE, json={})
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(("method", "code"), [("GET", 200), ("DELETE", 200), ("POST", 503)])
def test_a_call_that_may_be_made_twice_is_sent_again_when_its_connection_was_closed(running, method, code):
    def close_one_and_answer_one():
        for answer in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"):
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=close_one_and_answer_one, daemon=True).start()
        with running(pass_through=f"http://127.0.0.1:{listening.getsockname()[1]}") as client:
            assert client.request(method, "/v1beta/cachedContents/x").status_code == code


def test_a_body_beyond_the_limit_is_not_passed_on(behind, running):
    with running(pass_through=behind.url, max_request_bytes=1000) as client:
        assert client.post(GENERATE, content=b"x" * 1001).status_code == 400
    assert behind.seen == []


@pytest.mark.parametrize(
    ("sent", "query"),
    [
        ({"x-goog-api-key": "key-of-the-caller"}, ""),
        ({"authorization": "Bearer key-of-the-caller"}, ""),
        ({"api-key": "key-of-the-caller", "x-api-key": "key-of-the-caller"}, ""),
        ({}, "?alt=sse&key=key-of-the-caller"),
        ({}, "?k%65y=key-of-the-caller&alt=sse"),
    ],
)
def test_the_servers_key_goes_in_place_of_the_callers(keyed, behind, sent, query):
    assert keyed.post(GENERATE + query, json={}, headers=sent).status_code == 200
    [seen] = behind.seen
    assert "key-of-the-caller" not in str(seen)
    name, value = ("authorization", "Bearer ") if "authorization" in sent else ("x-goog-api-key", "")
    assert seen["headers"][name] == f"{value}key-of-the-server"
    assert seen["query"] == ("alt=sse" if query else "")


def test_an_error_that_repeats_the_servers_key_does_not_show_it(keyed, behind):
    behind.answer = lambda: Response(b'{"error": "key-of-the-server is expired"}', 400)
    assert "key-of-the-server" not in keyed.post(GENERATE, json={}).text
    assert behind.seen


def test_a_google_key_of_the_environment_goes_to_google_only(behind, running, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "AIzaSyNobodys")
    with running(pass_through=behind.url) as client:
        assert client.post(GENERATE, json={}).status_code == 200
    assert "AIza" not in str(behind.seen)


def test_the_callers_own_key_goes_where_the_operator_says_so(behind, running, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-the-server")
    with running(pass_through=behind.url, pass_through_key="caller") as client:
        client.post(f"{GENERATE}?key=in-query", json={}, headers={"x-goog-api-key": "key-of-the-caller"})
        client.post(GENERATE, json={})
    first, second = behind.seen
    assert (first["headers"]["x-goog-api-key"], first["query"]) == ("key-of-the-caller", "key=in-query")
    assert "key-of-the-server" not in str(behind.seen)
    assert "x-goog-api-key" not in second["headers"]


def test_a_key_of_this_server_never_leaves_it(behind, running, tmp_path):
    with running(pass_through=behind.url, pass_through_key="caller", data_dir=tmp_path) as client:
        answer = client.post(GENERATE, json={}, headers={"authorization": "Bearer gv-of-an-earlier-server"})
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
        database = open_database(database_of(Settings(data_dir=tmp_path)))
        _, secret = KeyStore(database).create("laptop")
        database.close()
        answer = client.post(GENERATE, json={}, headers={"x-goog-api-key": secret})
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert behind.seen == []


def test_a_key_for_some_models_reaches_only_those(behind, running, tmp_path):
    database = open_database(database_of(Settings(data_dir=tmp_path)))
    _, secret = KeyStore(database).create(
        "flash", models=("gemini-2.5-flash",), limits=KeyLimits(requests_per_minute=2)
    )
    database.close()
    headers = {"x-goog-api-key": secret}
    with running(pass_through=behind.url, data_dir=tmp_path) as client:
        assert client.post(GENERATE, json={}).status_code == 403
        assert client.post(GENERATE.replace("flash", "pro"), json={}, headers=headers).status_code == 403
        assert client.post("/v1beta/openai/chat/completions", json={}, headers=headers).status_code == 403
        codes = [client.post(GENERATE, json={}, headers=headers).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert secret not in str(behind.seen)


def exchange(client, head):
    """Send bytes as they are and return the answer's first line."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(head)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    "target",
    [
        "@{elsewhere}/v1beta/x:y",
        "%2Fv1beta%2F@{elsewhere}/x:y",
        ":1@{elsewhere}/x:y",
        "http://a@{elsewhere}/v1beta/x:y",
        "http%3A//{elsewhere}/v1beta/x:y",
        "ftp://{elsewhere}/v1beta/x:y",
        "http://localhost@{elsewhere}/v1beta/x:y",
        "http://{elsewhere}/v1beta/%2e%2e/y",
        "http://{elsewhere}#/v1beta/x:y",
        "/v1beta/x/../../y",
        "/v1beta/x/%2e%2e/%2E%2E/y",
        "/v1beta/models/%2e%2e",
        "/v1beta/x:y#/models/allowed",
    ],
)
def test_no_path_leads_to_another_server_or_out_of_the_address(keyed, behind, target):
    elsewhere = Behind()
    with serving(Starlette(routes=[Route("/{path:path}", elsewhere.__call__)])) as url:
        target = target.format(elsewhere=url.removeprefix("http://"))
        answer = exchange(keyed, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer.split()[1] in {b"400", b"404"}
    assert elsewhere.seen == behind.seen == []


def test_an_address_with_another_host_is_passed_on_by_its_path_to_the_server_behind_only(keyed, behind):
    elsewhere = Behind()
    with serving(Starlette(routes=[Route("/{path:path}", elsewhere.__call__)])) as url:
        head = f"GET {url}//v1beta/cachedContents/a%2Fb?x=%26&key=k HTTP/1.1\r\nHost: other.example\r\n\r\n"
        assert exchange(keyed, head.encode()).split()[1] == b"200"
    [seen] = behind.seen
    assert (seen["path"], seen["query"]) == ("/v1beta/cachedContents/a%2Fb", "x=%26")
    assert seen["headers"]["host"] == behind.url.removeprefix("http://")
    assert elsewhere.seen == []


def test_an_address_with_a_host_is_no_way_round_what_a_key_is_bound_to(behind, running, tmp_path):
    database = open_database(database_of(Settings(data_dir=tmp_path)))
    _, secret = KeyStore(database).create("flash", models=("gemini-2.5-flash",))
    database.close()
    with running(pass_through=behind.url, data_dir=tmp_path) as client:

        def code(target):
            head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nx-goog-api-key: {secret}\r\n\r\n"
            return exchange(client, head.encode()).split()[1]

        assert code("http://a/v1beta/models/gemini-2.5-flash") == b"200"
        assert code("http://a/v1beta/models/gemini-2.5-pro") == b"403"
        assert code("http://a/models/gemini-2.5-flash@b/v1beta/models/gemini-2.5-pro") == b"403"
        assert code("http://models/gemini-2.5-flash/v1beta/cachedContents") == b"403"
        assert code("http://a/v1beta/models/gemini-2.5-flash/models/gemini-2.5-pro") == b"403"
        assert code("http://a/v1beta/models/gemini-2.5-flash:embedContents") == b"404"
    assert [each["path"] for each in behind.seen] == ["/v1beta/models/gemini-2.5-flash"]
    assert secret not in str(behind.seen)


def test_without_a_server_behind_the_answer_says_how_to_have_one(http):
    answer = http.post(GENERATE, json={})
    assert answer.status_code == 404
    assert "gemini-2.5-flash is not found" in answer.json()["error"]["message"]
    assert "--pass-through google" in answer.json()["error"]["message"]


def test_an_upstream_server_gets_the_other_calls_too(server_url, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "any")
    settings = {"data_dir": tmp_path, "upstream": server_url}
    assert open_pass_through(Settings(**settings)).host == server_url.removeprefix("http://")
    assert open_pass_through(Settings(**settings, pass_through="off")) is None
    assert open_pass_through(Settings(**settings, pass_through="google")).host == "generativelanguage.googleapis.com"
    assert open_pass_through(Settings(data_dir=tmp_path, upstream="http://10.1.2.3:8000")) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pass_through": "google"}, "needs a Google API key"),
        ({"pass_through": "http://10.1.2.3:8000"}, "use https"),
        ({"pass_through": "gogle"}, "'gogle'"),
        ({"pass_through": "local"}, "'local'"),
        ({"pass_through": "google", "pass_through_key": "caller", "api_key": ("k",)}, "asks for no keys"),
    ],
)
def test_what_cannot_be_passed_on_safely_is_refused_at_the_start(tmp_path, monkeypatch, settings, words):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSetting, match=words):
        open_pass_through(Settings(data_dir=tmp_path, **settings))


@pytest.mark.parametrize(
    ("path", "is_geminis", "is_taken"),
    [
        (GENERATE, True, True),
        ("/v1alpha/cachedContents", True, True),
        ("/v1beta/openai/chat/completions", False, True),
        ("/v1/chat/completions", False, False),
        ("/api/generate", False, False),
        ("/favicon.ico", True, False),
    ],
)
def test_google_gets_only_what_google_has(path, is_geminis, is_taken):
    google = PassThrough("https://generativelanguage.googleapis.com/v1beta")
    assert google.takes(path, is_geminis=is_geminis) == is_taken


def test_another_server_gets_every_path():
    assert PassThrough("http://127.0.0.1:11434").takes("/api/generate", is_geminis=False)


def test_a_name_of_a_key_alone_is_never_passed_on(behind, running, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-the-server")
    database = open_database(database_of(Settings(data_dir=tmp_path)))
    aliases = {"gemini-2.5-flash": "missing", "chat": "gemini-embedding-001"}
    _, secret = KeyStore(database).create("mine", aliases=aliases)
    database.close()
    with running(pass_through=behind.url, data_dir=tmp_path) as http:
        http.headers["x-goog-api-key"] = secret
        counted = http.post("/v1beta/models/gemini-2.5-flash:countTokens", json={"contents": [EMBED_BODY["content"]]})
        assert (counted.status_code, "missing" in counted.text) == (404, True)
        assert http.get("/v1beta/models/gemini-2.5-flash").status_code == 404
        for path in (GENERATE, "/v1beta/models/chat:generateContent", "/v1beta//models%2Fchat/operations/1"):
            refused = http.post(path, json={})
            assert (refused.status_code, "a name of this API key alone" in refused.text) == (400, True)
        assert behind.seen == []
        assert http.post("/v1beta/models/chat-2:generateContent", json={}).status_code == 200
