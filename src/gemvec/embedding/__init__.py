"""The seam: what an embedder takes, what it returns, and the names it serves. Knows no engine and no HTTP."""
