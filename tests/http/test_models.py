"""models.list and models.get, for Gemini's clients and, at the same address, OpenAI's."""

import pytest

BEARER = {"authorization": "Bearer any"}


def test_every_served_name_is_listed_with_its_weights(http):
    models = http.get("/v1beta/models").json()["models"]
    assert "models/gemini-embedding-001" in [each["name"] for each in models]
    for each in models:
        assert http.get(f"/v1beta/{each['name']}").json() == each
        assert {"embedContent", "batchEmbedContents", "countTokens"} <= set(each["supportedGenerationMethods"])


def test_pages_hold_every_model_once_and_the_last_has_no_token(http):
    whole = http.get("/v1/models").json()
    assert "nextPageToken" not in whole
    seen, token = [], None
    while True:
        page = http.get("/v1/models", params={"pageSize": 1} | ({"pageToken": token} if token else {})).json()
        seen += page["models"]
        if "nextPageToken" not in page:
            break
        token = page["nextPageToken"]
    assert seen == whole["models"]


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=x", "page_token=99999", "pageToken=²"])
def test_bad_pages_are_refused(http, query):
    assert http.get(f"/v1/models?{query}").json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1beta/openai/models"])
def test_openais_clients_get_openais_list(http, path):
    answer = http.get(path, headers=BEARER).json()
    assert answer["object"] == "list"
    assert "gemini-embedding-001" in [each["id"] for each in answer["data"]]


@pytest.mark.parametrize(
    "options", [{"headers": BEARER | {"x-goog-api-key": "any"}}, {"headers": BEARER, "params": {"key": "k"}}, {}]
)
def test_a_caller_with_a_gemini_key_or_none_gets_geminis_list(http, options):
    assert "models" in http.get("/v1/models", **options).json()


def test_an_unknown_model_is_not_found_in_each_clients_shape(http):
    gemini = http.get("/v1beta/models/no-such").json()["error"]
    assert gemini["message"] == "Model is not found: models/no-such for api version v1beta"
    openai = http.get("/v1/models/no-such", headers=BEARER)
    assert openai.status_code == 404
    assert openai.json()["error"]["code"] == "model_not_found"
