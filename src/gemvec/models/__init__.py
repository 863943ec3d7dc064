"""Texts in, float32 vectors out: catalogue, weights, tokenizer, engines, prompts, pooling, scheduler.

Knows no JSON, no HTTP and no SQL. The seam to the other rooms is `embed.py`: `Embedder` and its value objects.
"""
