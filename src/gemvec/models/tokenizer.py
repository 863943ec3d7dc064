"""Texts to token ids and back to counts: `Tokenizer`, around Hugging Face's tokenizers.

Special tokens are kept apart from the text's own, because a text longer than the window is cut into windows that each
get them. Nothing is padded or cut here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import normalizers

from gemvec.errors import UnsupportedModel
from gemvec.models.engines import engine_of
from gemvec.models.modules import read_document
from gemvec.models.record import ModelRecord

# What tokenizer_config.json may say otherwise than tokenizer.json, by the names of the normalizer's own settings.
_NORMALIZER_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


class Tokenizer:
    """One model's tokenizer; safe to call from several threads at once.

    Attributes:
        prefix_ids: ids of the special tokens before a text, such as [CLS].
        suffix_ids: ids of those after it, such as [SEP].
    """

    def __init__(
        self,
        path: Path,
        *,
        special_tokens: bool = True,
        lower_cases: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Load a tokenizer.json.

        Args:
            path: the file.
            special_tokens: whether the model wants its special tokens around a text.
            lower_cases: whether texts are lower-cased before anything else.
            settings: the model's tokenizer_config.json, which wins over the file.

        Raises:
            UnsupportedModel: the file cannot be read.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise UnsupportedModel(f"{path} cannot be read as a tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._apply_settings(settings or {})
        if lower_cases:
            self._lower_case()
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

    def _apply_settings(self, settings: Mapping[str, Any]) -> None:
        """Give BERT's normalizer the settings that transformers gives it when it loads the tokenizer."""
        normalizer = self._tokenizer.normalizer
        if not isinstance(normalizer, normalizers.BertNormalizer):
            return
        for name, own_name in _NORMALIZER_SETTINGS.items():
            if name in settings and "Bert" in str(settings.get("tokenizer_class", "")):
                setattr(normalizer, own_name, settings[name])
        self._tokenizer.normalizer = normalizer

    def _lower_case(self) -> None:
        normalizer = self._tokenizer.normalizer
        after = [normalizer] if normalizer else []
        self._tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *after])

    def _around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Find the special tokens by what appears around a probe."""
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        whole = self._tokenizer.encode("a").ids
        start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
        return tuple(whole[:start]), tuple(whole[start + len(bare) :])


def load_tokenizer(record: ModelRecord, folder: Path) -> Tokenizer:
    """Return the tokenizer of the model in `folder`.

    Raises:
        UnsupportedModel: its tokenizer.json cannot be read.
    """
    here = folder / record.network_path
    return Tokenizer(
        here / "tokenizer.json",
        special_tokens=engine_of(record).takes_special_tokens,
        lower_cases=record.lower_cases,
        settings=read_document(here, "tokenizer_config.json"),
    )
