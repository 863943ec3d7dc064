"""`gemvec serve`: the Gemini embeddings API on this machine."""

from __future__ import annotations

import gc
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

import gemvec
from gemvec.cli.options import with_settings
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadSetting
from gemvec.logs import configure_logs, get_logger
from gemvec.settings import Settings, is_variable_set

if TYPE_CHECKING:
    from gemvec.embedding.models import ScoringModel, ServedModel

# A model with more different prompts than this has its own line for them in `gemvec models show`.
_SHOWN_PROMPTS = 3


@with_settings(
    "model",
    "alias",
    "rerank_model",
    "served_collection",
    "token",
    "upstream",
    "upstream_texts_per_minute",
    "upstream_tokens_per_minute",
    "pass_through",
    "pass_through_key",
    "host",
    "port",
    "api_key",
    "allow_anonymous",
    "allow_key_changes",
    "allow_origin",
    "engine",
    "device",
    "trust_remote_code",
    "precision",
    "long_text",
    "streams",
    "token_budget",
    "model_memory",
    "max_waiting_tokens",
    "max_request_bytes",
    "max_header_bytes",
    "max_connections",
    "memory_budget",
    "client_timeout_seconds",
    "limits",
    "requests_per_minute",
    "tokens_per_minute",
    "requests_per_day",
    "inject",
    "otlp_endpoint",
    "model_in_body",
    "shutdown_seconds",
    "drain_seconds",
    "data_dir",
    "storage",
    "database_url",
    "lease_seconds",
    "file_expiry_seconds",
    "max_file_bytes",
    "max_owner_bytes",
    "max_batch_requests",
    "max_open_uploads",
    "max_open_batches",
    "max_stored_bytes",
    "max_priority",
    "batch_expiry_seconds",
    "batch_retention_seconds",
    "executor",
    "ray_min_actors",
    "ray_max_actors",
    "ray_actor_cpus",
    "ray_actor_gpus",
    "cache_dir",
    "embedding_cache",
    "embedding_cache_bytes",
    "log_format",
    "log_level",
)
def serve(settings: Settings, context: typer.Context) -> None:
    """Serve the Gemini embeddings API, from an open model or a server.

    Answers the embedding calls of Gemini, OpenAI and text-embeddings-inference clients. After Ctrl-C or SIGTERM it
    finishes the requests in progress and stops.

    Examples:
        gemvec serve
        gemvec serve --port 0 --model ./my-model
        gemvec serve --alias text-embedding-3-small=all-minilm-l6-v2
        gemvec serve --model fake --limits google --inject 503=0.01
        gemvec serve --host 0.0.0.0 --api-key "$KEY"
        gemvec serve --collection docs=./my.db
        gemvec serve --upstream google --upstream-texts-per-minute 1500
        gemvec serve --pass-through google
    """
    if settings.upstream and (context.params.get("model") or is_variable_set("model")):
        raise BadSetting("Give either --model or --upstream, not both.")
    with _without_collector():
        from gemvec.server.auth import require_keys

        require_keys(settings)
        configure_logs(settings.log_format, settings.log_level)
        from gemvec.client.progress import show_fetch
        from gemvec.server.keys import has_stored_keys
        from gemvec.server.run import open_socket, url_of
        from gemvec.server.run import serve as run
        from gemvec.server.services import open_services

        bound = open_socket(settings.host, settings.port)
        try:
            with show_fetch() as progress:
                services = open_services(settings, progress=progress)
        except BaseException:
            bound.close()
            raise
    url, models = url_of(bound), services.embedder.list_models()
    has_keys = bool(settings.api_key) or has_stored_keys(settings)
    scoring = services.reranker.model if services.reranker else None
    passed_to = services.pass_through.host if services.pass_through else ""
    if settings.log_format == "json":  # JSON logs are read by programs, so nothing else is printed
        run(services, bound, lambda: log_start(url, models, has_keys=has_keys, passed_to=passed_to, scoring=scoring))
        return
    upstream = settings.upstream
    run(
        services,
        bound,
        lambda: announce(
            Console(), url, models, has_keys=has_keys, upstream=upstream, passed_to=passed_to, scoring=scoring
        ),
    )


@contextmanager
def _without_collector() -> Generator[None]:
    """Load without the garbage collector, which runs over 200 times while a server loads and finds nothing.

    That is a twentieth of the time to the first vector. What is loaded stays, so it is left out afterwards too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def log_start(
    url: str,
    models: Sequence[ServedModel],
    *,
    has_keys: bool,
    passed_to: str = "",
    scoring: ScoringModel | None = None,
) -> None:
    """Log which names are served by which weights."""
    get_logger("server").info(
        "serving",
        extra={
            "version": gemvec.__version__,
            "url": url,
            "weights": sorted({each.weights for each in models}),
            "models": [each.name for each in models],
            "languages": {each.model_id: each.languages for each in models if each.languages},
            "prompts": {
                each.model_id: {task.name: prompt for task, prompt in each.prompts.items()}
                for each in models
                if each.prompts
            },
            "reranker": scoring.weights if scoring else None,
            "asks_for_keys": has_keys,
            "passes_on_to": passed_to or None,
        },
    )


def announce(
    console: Console,
    url: str,
    models: Sequence[ServedModel],
    *,
    has_keys: bool,
    upstream: str = "",
    passed_to: str = "",
    scoring: ScoringModel | None = None,
) -> None:
    """Print which names are served by which weights, and how to connect clients."""
    default = models[0]
    names = [each.name for each in models if each.weights == default.weights and each is not default]
    gemini = next((name for name in names if name.startswith("gemini-embedding")), default.name)
    console.print(f"[bold]gemvec {gemvec.__version__}[/] serves at [bold cyan]{url}[/]", highlight=False)
    for each in models:
        if each.name == each.model_id:
            _announce_model(console, each)
    if names:
        console.print(f"  {default.model_id} also answers to {', '.join(names)}", highlight=False, soft_wrap=True)
    if scoring:
        line = f"scores texts at /rerank{_for_languages(scoring.languages)}"
        console.print(f"  [bold]{escape(scoring.weights)}[/] {escape(line)}", highlight=False)
    _say_whose_vectors(console, default, upstream)
    if passed_to:
        console.print(f"  Other calls, such as generateContent, are passed on to {escape(passed_to)}.", soft_wrap=True)
    console.print()
    for name, line in clients(url, gemini, "<your key>" if has_keys else "any").items():
        console.print(f"  [dim]{name:14}[/]{escape(line)}", highlight=False, soft_wrap=True)
    console.print(f"  [dim]{'in a browser':14}[/]{url}, and the API at {url}/docs", highlight=False, soft_wrap=True)
    console.print("\n  Ctrl-C stops the server.", highlight=False)


def _say_whose_vectors(console: Console, default: ServedModel, upstream: str) -> None:
    from gemvec.embedding.models import FAKE

    if upstream:
        console.print(f"  [yellow]Texts are forwarded to {escape(upstream)}, which embeds them.[/]", soft_wrap=True)
    if default.model_id == FAKE:
        console.print(
            "  [yellow]There is no model: vectors are made from hashes of words, for tests.[/]", soft_wrap=True
        )
    elif upstream != "google":
        console.print("  [yellow]The vectors are not Google's: never mix the two in one collection.[/]", soft_wrap=True)


def _announce_model(console: Console, model: ServedModel) -> None:
    line = f"{model.native_dim} dimensions{_for_languages(model.languages)}"
    console.print(f"  [bold]{escape(model.weights)}[/], {escape(line)}", highlight=False)
    if model.prompts:
        console.print(f"    {escape(describe_prompts(model))}", highlight=False, soft_wrap=True)


def _for_languages(languages: str) -> str:
    return f", for {languages}" if languages else ""


def describe_prompts(model: ServedModel) -> str:
    """Return what is put before a text for which task type, in one line."""
    named = {task: prompt for task, prompt in model.prompts.items() if task != TaskType.TASK_TYPE_UNSPECIFIED}
    tasks = _tasks_by_prompt(named)
    if not any(tasks):
        return "no prompts: task types change nothing"
    if len(tasks) > _SHOWN_PROMPTS:
        task, prompt = next(iter(named.items()))
        shown = f"{prompt!r} for {task.name}; gemvec models show {model.model_id} lists them"
        return f"a prompt for each task type, such as {shown}"
    *special, usual = sorted(tasks, key=lambda prompt: (len(tasks[prompt]), not prompt))
    parts = [f"{_spell(prompt)} for {', '.join(task.name for task in tasks[prompt])}" for prompt in special]
    parts.append(f"{_spell(usual)} for {'other task types' if parts else 'every task type'}")
    return f"prompts: {'; '.join(parts)}; without a task type: {_spell(model.prompts[TaskType.TASK_TYPE_UNSPECIFIED])}"


def _tasks_by_prompt(prompts: Mapping[TaskType, str]) -> dict[str, list[TaskType]]:
    tasks: dict[str, list[TaskType]] = {}
    for task, prompt in prompts.items():
        tasks.setdefault(prompt, []).append(task)
    return tasks


def _spell(prompt: str) -> str:
    return repr(prompt) if prompt else "none"


def clients(url: str, model: str, key: str) -> dict[str, str]:
    """Return, by client, the line of code that connects it to the server."""
    header = "" if key == "any" else f' -H "x-goog-api-key: {key}"'
    body = '{"content":{"parts":[{"text":"hello"}]}}'
    return {
        "google-genai": f'genai.Client(api_key="{key}", http_options={{"base_url": "{url}"}})',
        "curl": f"curl {url}/v1beta/models/{model}:embedContent{header} -d '{body}'",
        "Milvus": f'gemvec.GeminiEmbeddingFunction("{model}", api_key="{key}", base_url="{url}")',
    }
