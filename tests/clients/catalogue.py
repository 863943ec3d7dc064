"""The clients of the acceptance suite: what runs each, and what its results are called in the table."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Client:
    """One client.

    Attributes:
        name: what users call it.
        version: the pinned version, as in the requirements file or package.json.
        program: file under `programs/` (.py) or `node/` (.mjs).
        requirements: name of the requirements file whose virtual environment runs it; empty for Node.js and curl.
        variable: environment variable that carries the server's address, for clients that have no argument for it.
        how: how its users point it at a server.
        known: what differs and why, by check; such a check is expected to fail.
        may_be_missing: whether the test is skipped where the client's many packages cannot be installed.
    """

    name: str
    version: str
    program: str
    requirements: str = ""
    variable: str = ""
    how: str
    known: tuple[tuple[str, str], ...] = ()
    may_be_missing: bool = False


CLIENTS = (
    Client(
        name="google-genai",
        version="3.6.1",
        program="gemini_google_genai.py",
        requirements="google-genai-3",
        how="`http_options={'base_url': ...}`",
    ),
    Client(
        name="google-genai",
        version="2.34.0",
        program="gemini_google_genai.py",
        requirements="google-genai-2",
        how="`http_options={'base_url': ...}`",
    ),
    Client(
        name="google-generativeai",
        version="0.8.6",
        program="google_generativeai.py",
        requirements="google-generativeai",
        how="`configure(transport='rest', client_options={'api_endpoint': ...})`",
    ),
    Client(name="curl", version="", program="curl.py", how="the URL"),
    Client(
        name="langchain-google-genai",
        version="4.4.2",
        program="langchain_gemini.py",
        requirements="google-genai-2",
        how="`base_url=...`",
    ),
    Client(
        name="llama-index-embeddings-google-genai",
        version="0.6.0",
        program="llama_index_gemini.py",
        requirements="google-genai-2",
        how="`http_options=HttpOptions(base_url=...)`",
    ),
    Client(
        name="chromadb",
        version="1.5.9",
        program="chromadb_google.py",
        requirements="chromadb",
        variable="GOOGLE_GEMINI_BASE_URL",
        how="`GOOGLE_GEMINI_BASE_URL`",
    ),
    Client(
        name="google-genai-haystack",
        version="7.0.0",
        program="haystack_google_genai.py",
        requirements="haystack",
        variable="GOOGLE_GEMINI_BASE_URL",
        how="`GOOGLE_GEMINI_BASE_URL`",
    ),
    Client(
        name="litellm", version="1.106.2", program="litellm_gemini.py", requirements="litellm", how="`api_base=...`"
    ),
    Client(
        name="openai",
        version="3.57.0",
        program="openai_python.py",
        requirements="google-genai-3",
        how="`base_url=.../v1` or `.../v1beta/openai/`",
    ),
    Client(
        name="openai for Azure",
        version="3.57.0",
        program="azure_openai.py",
        requirements="google-genai-3",
        how="`AzureOpenAI(azure_endpoint=...)`",
    ),
    Client(
        name="google-genai for Vertex AI",
        version="3.6.1",
        program="vertex_google_genai.py",
        requirements="google-genai-3",
        how="`vertexai=True, http_options={'base_url': ...}`",
    ),
    Client(
        name="ollama", version="0.6.3", program="ollama_python.py", requirements="other-apis", how="`Client(host=...)`"
    ),
    Client(
        name="cohere",
        version="7.3.1",
        program="cohere_python.py",
        requirements="other-apis",
        how="`ClientV2(base_url=...)` or `Client(base_url=...)`",
    ),
    Client(
        name="huggingface_hub",
        version="2.4.0",
        program="huggingface_hub_tei.py",
        requirements="other-apis",
        how="`InferenceClient(...)`",
    ),
    Client(
        name="pydantic-ai",
        version="2.68.0",
        program="pydantic_ai_google.py",
        requirements="google-genai-2",
        how="`GoogleProvider(base_url=...)`",
    ),
    Client(
        name="mem0",
        version="2.2.1",
        program="mem0_openai.py",
        requirements="mem0",
        how="`openai_base_url`, `--alias text-embedding-3-small=...`",
        may_be_missing=True,
    ),
    Client(
        name="graphiti-core",
        version="0.31.2",
        program="graphiti_gemini.py",
        requirements="graphiti",
        variable="GOOGLE_GEMINI_BASE_URL",
        how="`GOOGLE_GEMINI_BASE_URL`",
        may_be_missing=True,
    ),
    Client(
        name="LightRAG",
        version="1.5.7",
        program="lightrag_gemini.py",
        requirements="lightrag",
        how="`base_url=...`",
        may_be_missing=True,
    ),
    Client(
        name="LiteLLM proxy",
        version="1.106.2",
        program="litellm_proxy.py",
        requirements="litellm",
        how="`api_base: .../`",
        may_be_missing=True,
    ),
    Client(
        name="pymilvus.model",
        version="0.3.4",
        program="pymilvus_model.py",
        requirements="pymilvus-model",
        how="`http_options={'base_url': ...}`; TEI: `api_url=...`",
    ),
    Client(
        name="milvus-lite TEXTEMBEDDING",
        version="3.2.2",
        program="milvus_text_embedding.py",
        requirements="milvus-lite",
        how="function parameter `base_url`",
    ),
    Client(name="@google/genai", version="2.32.0", program="google_genai.mjs", how="`httpOptions: { baseUrl }`"),
    Client(
        name="@google/generative-ai",
        version="0.24.1",
        program="google_generative_ai.mjs",
        how="`getGenerativeModel(..., { baseUrl })`",
    ),
    Client(
        name="@langchain/google-genai",
        version="2.3.2",
        program="langchain_google.mjs",
        how="`baseUrl: '.../'`",
    ),
    Client(name="Genkit", version="1.42.0", program="genkit.mjs", how="`googleAI({ baseUrl: '.../' })`"),
    Client(name="openai (npm)", version="7.59.0", program="openai_node.mjs", how="`baseURL`; Azure: `endpoint`"),
    Client(
        name="ai with @ai-sdk/google",
        version="6.0.326 with 3.0.141",
        program="ai_sdk.mjs",
        how="`createGoogleGenerativeAI({ baseURL })`",
    ),
)
