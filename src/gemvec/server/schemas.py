"""The messages of the routes as JSON Schema, by name: what `/openapi.json` and `/docs` say about each field.

They are made from the declarations by which bodies are read and answers are written.
"""

from __future__ import annotations

from gemvec.wire import batches, console, embed, files, health, jsonl, models, openai, operations, status, tei
from gemvec.wire.kinds import Schema
from gemvec.wire.message import Message
from gemvec.wire.schema import schema_of

MESSAGES: tuple[type[Message], ...] = (
    embed.EmbedContentRequest,
    embed.EmbedContentConfig,
    embed.Content,
    embed.Part,
    embed.EmbedContentResponse,
    embed.ContentEmbedding,
    embed.EmbeddingStatistics,
    embed.EmbeddingUsageMetadata,
    embed.ModalityTokenCount,
    embed.BatchEmbedContentsRequest,
    embed.BatchEmbedContentsResponse,
    models.CountTokensRequest,
    models.GenerateContentRequest,
    models.CountTokensResponse,
    models.Model,
    models.ListModelsResponse,
    openai.OpenAIEmbeddingsRequest,
    openai.OpenAIEmbeddingsResponse,
    openai.OpenAIEmbedding,
    openai.OpenAIUsage,
    openai.OpenAIModel,
    openai.OpenAIModels,
    openai.OpenAIError,
    openai.OpenAIErrorDetail,
    tei.TEIEmbedRequest,
    tei.TEIInfo,
    tei.TEIModelType,
    tei.TEIPooling,
    tei.TEIError,
    files.File,
    files.CreateFileRequest,
    files.CreateFileResponse,
    files.ListFilesResponse,
    batches.AsyncBatchEmbedContentRequest,
    batches.EmbedContentBatch,
    batches.InputEmbedContentConfig,
    batches.InlinedEmbedContentRequests,
    jsonl.InlinedEmbedContentRequest,
    batches.BatchStats,
    batches.EmbedContentBatchOutput,
    batches.InlinedEmbedContentResponses,
    jsonl.InlinedEmbedContentResponse,
    jsonl.BatchedEmbedding,
    operations.Operation,
    operations.ListOperationsResponse,
    status.Status,
    status.Empty,
    status.Error,
    status.HttpStatus,
    console.ServedNames,
    console.ServedName,
    health.Health,
    health.Welcome,
)

SCHEMAS: dict[str, Schema] = {each.__name__: schema_of(each) for each in MESSAGES}
SCHEMAS["TEIEmbedResponse"] = tei.EMBED_RESPONSE
