"""Every setting of gemvec: flag, GEMVEC_* variable, default, unit and help come from the same field.

This is the only module that reads the environment. It must never know where a setting is used.
A command-line flag has precedence over a variable, and a variable that is not empty over the default.
"""

from __future__ import annotations

import contextlib
import functools
import math
import operator
import os
import types
import typing
from collections.abc import Generator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args, get_origin

from gemvec.errors import BadSetting

Precision = Literal["fast", "exact"]
LongText = Literal["windows", "truncate"]
EngineWanted = Literal["auto", "torch"]
Limits = Literal["off", "google"]
PassThroughKey = Literal["server", "caller"]
LogFormat = Literal["pretty", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

# The topics of settings in the help.
_ADDRESS, _MODEL, _UPSTREAM, _CALLERS = "Address", "Model", "Upstream", "Callers"
_CACHE, _DATA, _MILVUS = "Cache", "Files and batches", "Milvus"
_TESTING, _LOGS = "For testing clients", "Logs and traces"

# A hundred years: clocks and calendars cannot represent moments much further away.
_MAX_SECONDS = 100 * 365.25 * 86_400
_MAX_PRIORITY = 2**63 - 1  # Google's int64
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def cache_home() -> Path:
    """Where fetched weights and caches go: $XDG_CACHE_HOME/gemvec, else ~/.cache/gemvec."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gemvec"


def data_home() -> Path:
    """Where files and batches live: $XDG_DATA_HOME/gemvec, else ~/.local/share/gemvec."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "gemvec"


def setting(
    default: Any,
    summary: str,
    *,
    topic: str = "Options",
    metavar: str = "",
    unit: str = "",
    minimum: float = -math.inf,
    maximum: float = math.inf,
    secret: bool = False,
    flag: str = "",
) -> Any:
    """Declare one field of `Settings`.

    Args:
        default: the value without a flag or variable; a callable is called.
        summary: one sentence for `--help` and the reference page.
        topic: its heading in the help of a command.
        metavar: placeholder of the value in the help; made from the unit or the name if empty.
        unit: the unit of a number, such as `seconds` or `bytes`; `bytes` accepts `2GiB`.
        minimum: the smallest number allowed.
        maximum: the largest.
        secret: whether to keep the value out of reprs and logs.
        flag: its flag, if the name does not give it.
    """
    if unit == "seconds":
        maximum = min(maximum, _MAX_SECONDS)
    metadata = {
        "help": summary,
        "topic": topic,
        "metavar": metavar,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "secret": secret,
        "flag": flag,
    }
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Use `Settings.load`, which reads the environment and checks every value."""

    host: str = setting("127.0.0.1", "Address the server listens on.", topic=_ADDRESS)
    port: int = setting(
        8000, "Port the server listens on; 0 picks a free one.", minimum=0, maximum=65_535, topic=_ADDRESS
    )
    model: tuple[str, ...] = setting(
        ("all-minilm-l6-v2",),
        "Models to serve: catalogue ids, hub ids or folders, also as NAME=MODEL, or fake for tests. The first one also "
        "answers to the Gemini names; the others are loaded at their first use.",
        topic=_MODEL,
    )
    alias: tuple[str, ...] = setting(
        (),
        "More names for served models, such as text-embedding-3-small=all-minilm-l6-v2; one of Google's names may mean "
        "another model than the first.",
        topic=_MODEL,
        metavar="NAME=MODEL",
    )
    rerank_model: str = setting(
        "",
        "Cross-encoder that scores texts against a query on /rerank, /v1/rerank and /v2/rerank: a hub id or a folder.",
        topic=_MODEL,
        metavar="MODEL",
    )
    served_collection: tuple[str, ...] = setting(
        (),
        "Collections to search through POST /v1/collections/NAME:search, such as docs=./my.db.",
        topic=_MILVUS,
        metavar="NAME=URI",
        flag="--collection",
    )
    upstream: str = setting(
        "",
        "Pass texts on to another server instead of computing here: google, or the address of a gemvec server. Its "
        "key comes from GEMINI_API_KEY.",
        topic=_UPSTREAM,
    )
    upstream_texts_per_minute: int = setting(
        0,
        "Texts sent to the upstream server per minute and model, at most; 0 for no limit.",
        minimum=0,
        topic=_UPSTREAM,
    )
    upstream_tokens_per_minute: int = setting(
        0,
        "Estimated tokens sent to the upstream server per minute and model, at most; 0 for no limit.",
        unit="tokens",
        minimum=0,
        topic=_UPSTREAM,
    )
    pass_through: str = setting(
        "",
        "Pass calls that are not answered here, such as generateContent, on to another server: google or an address; "
        "off for none. Without a value it is the server of --upstream.",
        topic=_UPSTREAM,
        metavar="SERVER",
    )
    pass_through_key: PassThroughKey = setting(
        "server",
        "Whose key goes with such calls. server: the one in GEMINI_API_KEY; caller: each caller's own, which needs a "
        "server that asks for no keys.",
        topic=_UPSTREAM,
    )
    engine: EngineWanted = setting(
        "auto",
        "What runs the models that embed. auto: gemvec's own engines, or sentence-transformers for a model that they "
        "do not run, where the extra torch is installed; torch: sentence-transformers for every network.",
        topic=_MODEL,
    )
    device: str = setting(
        "",
        "Where sentence-transformers computes: cpu, mps, cuda or one of its cards, such as cuda:1; empty: a GPU if "
        "there is one.",
        topic=_MODEL,
        metavar="DEVICE",
    )
    trust_remote_code: bool = setting(
        False,
        "Let sentence-transformers run the code that comes with a model, which can do anything on this machine.",
        topic=_MODEL,
    )
    precision: Precision = setting(
        "fast", "fast: bf16 where the processor has it (cosine at least 0.9998 to fp32); exact: fp32.", topic=_MODEL
    )
    long_text: LongText = setting(
        "windows",
        "What to do with texts longer than the model's window: windows embeds all parts and averages, truncate cuts.",
        topic=_MODEL,
    )
    streams: int = setting(0, "Micro-batches computed at the same time; 0 for one per core.", minimum=0, topic=_MODEL)
    token_budget: int = setting(
        0,
        "Padded tokens in one micro-batch, at most; less is better on a slow processor. 0 means 1024 on a processor, "
        "and what fits into the memory of a GPU.",
        unit="tokens",
        minimum=0,
        topic=_MODEL,
    )
    model_memory: int = setting(
        0,
        "Memory for all models together, estimated from the size of their files and the number of streams; the one "
        "that was longest unused makes room for another. 0 for no limit.",
        unit="bytes",
        minimum=0,
        topic=_MODEL,
    )
    max_waiting_tokens: int = setting(
        4_000_000,
        "Tokens that may wait for the model; beyond that, requests are refused with 429.",
        unit="tokens",
        minimum=1,
        topic=_MODEL,
    )
    cache_dir: Path = setting(cache_home, "Folder for fetched model weights and cached embeddings.", topic=_CACHE)
    embedding_cache: bool = setting(
        False,
        "Let the server keep embeddings in the cache folder; commands that embed always do.",
        topic=_CACHE,
    )
    embedding_cache_bytes: int = setting(
        2**30,
        "Size of the cache of embeddings, at most; 0 for no cache.",
        unit="bytes",
        minimum=0,
        topic=_CACHE,
    )
    data_dir: Path = setting(data_home, "Folder for files and batches.", topic=_DATA)
    storage: str = setting(
        "",
        "Object store for the bytes of files and batches: s3://bucket/prefix, gs://bucket/prefix or "
        "az://container/prefix; empty: the data folder.",
        metavar="URL",
        topic=_DATA,
    )
    database_url: str = setting(
        "",
        "PostgreSQL URL of the files and batches database; empty: a SQLite file in the data folder.",
        secret=True,
        topic=_DATA,
    )
    lease_seconds: float = setting(
        30.0,
        "Where several servers share PostgreSQL and an object store: how long one may be silent before the others take "
        "over its work.",
        unit="seconds",
        minimum=1,
        topic=_DATA,
    )
    file_expiry_seconds: float = setting(
        48 * 3600.0, "How long an uploaded file is kept.", unit="seconds", minimum=1, topic=_DATA
    )
    max_file_bytes: int = setting(2 * 2**30, "Largest file that may be uploaded.", unit="bytes", minimum=1, topic=_DATA)
    max_owner_bytes: int = setting(
        20 * 2**30, "Size of all uploaded files of one API key, at most.", unit="bytes", minimum=1, topic=_DATA
    )
    max_open_uploads: int = setting(
        1000, "Uploads that one API key may have begun and not finished.", minimum=1, topic=_DATA
    )
    max_open_batches: int = setting(
        1000, "Batches that one API key may have that have not ended.", minimum=1, topic=_DATA
    )
    max_stored_bytes: int = setting(
        200 * 2**30,
        "Size of all that one API key may keep: files, and the inputs and results of batches.",
        unit="bytes",
        minimum=1,
        topic=_DATA,
    )
    max_priority: int = setting(
        _MAX_PRIORITY,
        "The highest priority that one API key may give its batches.",
        minimum=-(2**63),
        maximum=_MAX_PRIORITY,
        topic=_DATA,
    )
    max_batch_requests: int = setting(10_000_000, "Most requests in one batch.", minimum=1, topic=_DATA)
    batch_expiry_seconds: float = setting(
        48 * 3600.0, "How long a batch may wait and run before it expires.", unit="seconds", minimum=1, topic=_DATA
    )
    executor: str = setting(
        "local",
        "Where batches are computed: local for this machine, ray for the Ray cluster that it is part of, ray:HOST:PORT "
        "for the one whose head is there.",
        topic=_DATA,
        metavar="local|ray[:ADDRESS]",
    )
    ray_min_actors: int = setting(
        0, "With --executor ray: actors with the model that are kept without work.", minimum=0, topic=_DATA
    )
    ray_max_actors: int = setting(
        16,
        "On a Ray cluster: actors at a time, at most; each has two chunks or groups of texts in flight for each core.",
        minimum=1,
        maximum=1000,
        topic=_DATA,
    )
    ray_actor_cpus: float = setting(
        1.0,
        "On a Ray cluster: cores that each actor takes from its node, and computes with.",
        unit="cores",
        minimum=0.1,
        topic=_DATA,
    )
    ray_actor_gpus: float = setting(
        0.0, "On a Ray cluster: GPUs that each actor takes from its node.", unit="GPUs", minimum=0, topic=_DATA
    )
    batch_retention_seconds: float = setting(
        42 * 86400.0,
        "How long an ended batch is kept, with its input and its results.",
        unit="seconds",
        minimum=1,
        topic=_DATA,
    )
    uri: str = setting(
        "./gemvec.db",
        "Milvus: a path ending in .db for Milvus Lite, or the address of a server or of Zilliz Cloud.",
        topic=_MILVUS,
    )
    token: str = setting(
        "", "What Milvus asks for: user:password, or an API key of Zilliz Cloud.", secret=True, topic=_MILVUS
    )
    collection: str = setting("docs", "Name of the collection in Milvus.", topic=_MILVUS)
    api_key: tuple[str, ...] = setting(
        (),
        "Keys that callers may use; each caller must send one. Without any, no key is needed.",
        secret=True,
        topic=_CALLERS,
    )
    allow_origin: tuple[str, ...] = setting(
        (), "Origins of web pages that may call the server, such as http://localhost:3000; * for all.", topic=_CALLERS
    )
    allow_anonymous: bool = setting(
        False, "Listen on other addresses than this machine's own without an API key.", topic=_CALLERS
    )
    allow_key_changes: bool = setting(
        False,
        "Let admin keys make, replace, revoke and delete keys in the console; otherwise only gemvec keys does.",
        topic=_CALLERS,
    )
    model_in_body: bool = setting(
        False,
        "Use the model named in the body instead of the URL's, as the Gemini provider of Milvus' server needs.",
        topic=_CALLERS,
    )
    max_request_bytes: int = setting(20 * 2**20, "Largest request body.", unit="bytes", minimum=1, topic=_CALLERS)
    max_header_bytes: int = setting(
        64 * 2**10, "Largest request head: address and headers together.", unit="bytes", minimum=1, topic=_CALLERS
    )
    memory_budget: int = setting(
        0,
        "Memory for everything in flight: bodies, JSON, answers, chunks of batches; half of it for one caller. 0 means "
        "two fifths of what the process may have.",
        unit="bytes",
        minimum=0,
        topic=_CALLERS,
    )
    max_connections: int = setting(
        2000, "Connections at a time; one more is answered 503 and closed.", minimum=1, topic=_CALLERS
    )
    client_timeout_seconds: float = setting(
        30.0,
        "How long a client may take to send a request or to read an answer.",
        unit="seconds",
        minimum=0.1,
        topic=_CALLERS,
    )
    limits: Limits = setting(
        "off",
        "google: refuse what Google's service would refuse: sizes, rates, retired models.",
        topic=_TESTING,
    )
    requests_per_minute: int = setting(
        100,
        "With --limits google: texts per minute, key and model; 0 for no limit.",
        minimum=0,
        topic=_TESTING,
    )
    tokens_per_minute: int = setting(
        30_000,
        "With --limits google: tokens per minute, key and model; 0 for no limit.",
        minimum=0,
        topic=_TESTING,
    )
    requests_per_day: int = setting(
        1000, "With --limits google: texts per day, key and model; 0 for no limit.", minimum=0, topic=_TESTING
    )
    inject: str = setting(
        "",
        "Fail on purpose: a share of requests by status, such as 429=0.05, and latency=200ms.",
        topic=_TESTING,
    )
    otlp_endpoint: str = setting(
        "", "Where to send traces, such as http://127.0.0.1:4318; empty for no traces.", secret=True, topic=_LOGS
    )
    shutdown_seconds: float = setting(
        30.0, "How long a stopping server waits for requests in progress.", unit="seconds", minimum=0, topic=_ADDRESS
    )
    drain_seconds: float = setting(
        0.0,
        "How long a stopping server still takes requests while /readyz answers 503, so that a balancer notices.",
        unit="seconds",
        minimum=0,
        topic=_ADDRESS,
    )
    log_format: LogFormat = setting("pretty", "pretty for people, json for machines.", topic=_LOGS)
    log_level: LogLevel = setting("info", "Least severe message that is logged.", topic=_LOGS)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **flags: Any) -> Self:
        """Combine flags, GEMVEC_* variables and defaults.

        Args:
            environ: the environment; None for that of the process. An empty variable counts as not set.
            **flags: values by field name; None means not given. Strings are parsed like variables.

        Raises:
            BadSetting: a value cannot be used; the message names the flag or variable and the value.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for each in fields(cls):
            given = flags.pop(each.name, None)
            if given is not None:
                values[each.name] = _checked(each, given, flag_name(each.name))
            elif text := environ.get(variable_name(each.name)):
                values[each.name] = _checked(each, text, variable_name(each.name))
        if flags:
            raise BadSetting(f"There is no setting named {min(flags)!r}.")
        return cls(**values)


def is_variable_set(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment has a value for a field; an empty variable counts as not set."""
    return bool((os.environ if environ is None else environ).get(variable_name(name)))


def flag_name(name: str) -> str:
    """Return the command-line flag of a field: `data_dir` becomes `--data-dir`."""
    given = next((each.metadata["flag"] for each in fields(Settings) if each.name == name), "")
    return given or "--" + name.replace("_", "-")


def variable_name(name: str) -> str:
    """Return the environment variable of a field: `data_dir` becomes `GEMVEC_DATA_DIR`."""
    return "GEMVEC_" + name.upper()


@functools.cache
def field_types() -> dict[str, Any]:
    """Return the resolved type of every field of `Settings`, by name; resolving them takes half a millisecond."""
    return typing.get_type_hints(Settings)


def read_variable(*names: str) -> str | None:
    """Return the first of the variables `names` that is not empty, such as GEMINI_API_KEY."""
    return next((value for name in names if (value := os.environ.get(name))), None)


def is_empty_variable(name: str) -> bool:
    """Whether a variable is set but empty, which counts as not set."""
    return os.environ.get(name) == ""


def process_environ() -> dict[str, str]:
    """Return a copy of the environment, for a child process."""
    return dict(os.environ)


@contextlib.contextmanager
def default_variable(name: str, value: str) -> Generator[None]:
    """Set a variable that a native library reads, for as long as the context lasts, unless it has a value.

    Contexts of one variable in several threads must not overlap.
    """
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


def parse_bytes(text: str) -> int:
    """Return the number of bytes in a text such as `2GiB`, `500 MB` or `1024`.

    Raises:
        ValueError: the text is not a size.
    """
    size = text.strip().lower().removesuffix("b")
    number = size.rstrip("kmgi ")
    unit = size[len(number) :].strip()
    if unit not in _SUFFIXES:
        raise ValueError(f"unknown size unit in {text!r}")
    return int(float(number) * _SUFFIXES[unit])


def format_bytes(count: int) -> str:
    """Return a number of bytes as text for `parse_bytes`, in the largest unit that gives a whole number.

    >>> format_bytes(20 * 2**20)
    '20MiB'
    """
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count and count % 2**power == 0:
            return f"{count >> power}{unit}"
    return str(count)


def _checked(each: Field[Any], value: Any, source: str) -> Any:
    shown = "(hidden)" if each.metadata["secret"] else repr(value)
    try:
        parsed = _parse(field_types()[each.name], value, is_bytes=each.metadata["unit"] == "bytes")
    except (ValueError, OverflowError, RuntimeError) as error:  # RuntimeError: ~name, and no user has this name
        raise BadSetting(f"{source} has value {shown}: {_expected(field_types()[each.name])}.") from error
    for bound, is_kept, words in (
        (each.metadata["minimum"], operator.ge, "at least"),
        (each.metadata["maximum"], operator.le, "at most"),
    ):
        if math.isfinite(bound) and not is_kept(parsed, bound):
            raise BadSetting(f"{source} has value {shown}: must be {words} {bound:g}.")
    return parsed


def _parse(kind: Any, value: Any, *, is_bytes: bool) -> Any:
    if get_origin(kind) is tuple:
        items = value.split(",") if isinstance(value, str) else list(cast("list[Any]", value))
        found = tuple(item for each in items if (item := str(each).strip()))
        if items and not found:  # `--api-key "$KEY"` where KEY is not set must not mean: no key
            raise ValueError(value)
        return found
    if get_origin(kind) is types.UnionType:
        kind = next(option for option in get_args(kind) if option is not type(None))
    if not isinstance(value, str):
        return value
    if get_origin(kind) is Literal:
        return _choice(value, get_args(kind))
    if kind is bool:
        return _boolean(value)
    if kind is int and is_bytes:
        return parse_bytes(value)
    return Path(value).expanduser() if kind is Path else kind(value)


def _choice(value: str, options: tuple[str, ...]) -> str:
    if value.lower() not in options:
        raise ValueError(value)
    return value.lower()


def _boolean(value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ValueError(value)


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "expected one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "expected at least one"
    return {bool: "expected true or false", int: "expected a whole number", float: "expected a number"}.get(
        kind, "cannot be used"
    )
