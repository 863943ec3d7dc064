"""Texts to token ids and back to counts: `Tokenizer`, around Hugging Face's tokenizers.

Special tokens are kept apart from the text's own, because a text longer than the window is cut into windows that each
get them. Nothing is padded or cut here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from gemvec.errors import UnsupportedModel
from gemvec.models.record import ModelRecord


class Tokenizer:
    """One model's tokenizer; safe to call from several threads at once.

    Attributes:
        prefix_ids: ids of the special tokens before a text, such as [CLS].
        suffix_ids: ids of those after it, such as [SEP].
    """

    def __init__(self, path: Path, *, special_tokens: bool = True) -> None:
        """Load a tokenizer.json.

        Args:
            path: the file.
            special_tokens: whether the model wants its special tokens around a text.

        Raises:
            UnsupportedModel: the file cannot be read.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise UnsupportedModel(f"{path} cannot be read as a tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.prefix_ids, self.suffix_ids = self._around() if special_tokens else ((), ())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens left out, in the same order."""
        return [each.ids for each in self._encode(texts)]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out, in the same order."""
        return [len(each) for each in self._encode(texts)]

    def _encode(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        try:
            return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:  # how the library refuses a lone surrogate, which Python strings can hold and UTF-8 cannot
            whole = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
            return self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)

    def _around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Find the special tokens by what appears around a probe."""
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        dressed = self._tokenizer.encode("a").ids
        start = next(at for at in range(len(dressed)) if dressed[at : at + len(bare)] == bare)
        return tuple(dressed[:start]), tuple(dressed[start + len(bare) :])


def load_tokenizer(record: ModelRecord, folder: Path) -> Tokenizer:
    """Return the tokenizer of the model in `folder`.

    Raises:
        UnsupportedModel: its tokenizer.json cannot be read.
    """
    return Tokenizer(folder / "tokenizer.json", special_tokens=record.engine != "static")
