"""Write the vectors of single tokens that sentence-transformers gives for the models of `tests/models/golden`.

    golden/bin/python tools/make_golden_token_vectors.py tests/models/golden

Run it in the environment of `make_golden_models.py`, and after it. `token_vectors.safetensors` has one tensor for each
model and text: float16[tokens, size] under `model/index of the text`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

# A short text, one of many scripts, and one that is longer than every window.
PLACES = (1, 4, 6)
WITHOUT_NETWORK = {"static", "model2vec"}


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the models")
    folder: Path = parser.parse_args().folder
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    models = sorted(path.parent.name for path in folder.glob("*/expected.safetensors"))
    vectors: dict[str, torch.Tensor] = {}
    for name in models:
        if name in WITHOUT_NETWORK:
            continue
        model = SentenceTransformer(str(folder / name), device="cpu", model_kwargs={"dtype": torch.float32})
        for place in PLACES:
            (found,) = model.encode([texts[place]], output_value="token_embeddings")
            vectors[f"{name}/{place}"] = found.to(torch.float16).contiguous()
    save_file(vectors, folder / "token_vectors.safetensors")


if __name__ == "__main__":
    main()
