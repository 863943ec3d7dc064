"""LlamaIndex's own Gemini class talking to a gemvec server, in front of LlamaIndex's in-memory index.

gemvec serve
pip install llama-index-core llama-index-embeddings-google-genai && python llama_index_search.py
"""

from google.genai.types import HttpOptions
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.google_genai import GoogleGenAIEmbedding

embeddings = GoogleGenAIEmbedding(
    model_name="gemini-embedding-001", api_key="any", http_options=HttpOptions(base_url="http://127.0.0.1:8000")
)
nodes = [
    TextNode(text="Artificial intelligence was founded as an academic discipline in 1956."),
    TextNode(text="Born in Maida Vale, London, Turing was raised in southern England."),
]
index = VectorStoreIndex(nodes, embed_model=embeddings)
for found in index.as_retriever(similarity_top_k=1).retrieve("Where was Alan Turing born?"):
    print(found.node.get_content())
