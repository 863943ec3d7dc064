"""Turns texts into float32 vectors: catalogue, weights, tokenizer, engines, prompts, pooling, scheduler.

Knows no JSON, no HTTP and no SQL. Other rooms use it through the `Embedder` of `gemvec.embedding`.
"""
