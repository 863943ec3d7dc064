"""The seam: what is asked of an embedder, what it gives, and the names it answers to. Knows no engine and no HTTP."""
