"""LangChain's own Gemini class talking to a gemvec server, in front of LangChain's in-memory store.

gemvec serve
pip install langchain-google-genai && python langchain_search.py
"""

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_google_genai import GoogleGenerativeAIEmbeddings

embeddings = GoogleGenerativeAIEmbeddings(
    model="models/gemini-embedding-001", google_api_key="any", base_url="http://127.0.0.1:8000"
)
store = InMemoryVectorStore(embeddings)
store.add_texts(
    [
        "Artificial intelligence was founded as an academic discipline in 1956.",
        "Born in Maida Vale, London, Turing was raised in southern England.",
    ]
)
for document in store.similarity_search("Where was Alan Turing born?", k=1):
    print(document.page_content)
