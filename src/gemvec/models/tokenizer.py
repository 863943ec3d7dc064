"""Turns texts into token ids and ids into texts: `Tokenizer`, a wrapper of Hugging Face's tokenizers.

Special tokens are kept separate from the text's tokens, because each window of a long text gets them. Nothing is padded
or cut here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import normalizers

from gemvec.embedding.embed import TextToken
from gemvec.errors import UnsupportedModel
from gemvec.models.engines import engine_of
from gemvec.models.modules import read_document
from gemvec.models.pairs import PairTemplate
from gemvec.models.record import ModelRecord
from gemvec.models.tokenizer_class import apply_class
from gemvec.models.vocabulary import UnfamiliarTokens

# A text with up to this many characters per token that can count is tokenized as a whole; a longer one in pieces, and
# only as far as needed. A tokenizer needs about 100 bytes of memory per character.
_CHARACTERS_PER_TOKEN = 16
# The least of a text that is tokenized as a whole, so that no word that a tokenizer takes as one is cut in it.
_MIN_PIECE_CHARACTERS = 4096
# A piece ends before a space that is not farther than this from its end; a text without spaces is cut anywhere.
_SEARCHED_FOR_A_SPACE = 1000
_PIECE_CHARACTERS = 131_072
# The cut at the end of a piece may change the last tokens before it, so a few more tokens are made than count.
_SPARE_TOKENS = 64
# To tokenize one text up to this length costs less than to wake the library's threads for it.
_QUERY_CHARACTERS = 400


class Tokenizer:
    """One model's tokenizer; safe to call from several threads at once.

    Attributes:
        prefix_ids: ids of the special tokens before a text, such as [CLS].
        suffix_ids: ids of the special tokens after it, such as [SEP].
        without_vector: tokens beside the usual words for which the network has no vector, by their ids, such as that of
            a picture.
    """

    def __init__(
        self,
        path: Path,
        *,
        special_tokens: bool = True,
        lower_cases: bool = False,
        settings: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Load a tokenizer.json.

        Args:
            path: the file.
            special_tokens: whether the model needs special tokens around a text.
            lower_cases: whether texts are lower-cased before anything else.
            settings: the model's tokenizer_config.json, which has precedence over the file.
            config: its config.json, which names the kind of tokenizer if the settings do not.

        Raises:
            UnsupportedModel: the file cannot be read, or the settings ask for something that is not done here.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception for everything that is wrong with the file
            raise UnsupportedModel(f"{path} cannot be read as a tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._has_types = "token_type_ids" in (settings or {}).get("model_input_names", ("token_type_ids",))
        apply_class(self._tokenizer, settings or {}, config)
        if (
            self._has_types
            and (config or {}).get("type_vocab_size", 0) > 1
            and any(self._tokenizer.encode("a").type_ids)
        ):
            raise UnsupportedModel(f"{path} gives the tokens of a single text another type than 0.")
        self.without_vector = _find_without_vector(self._tokenizer, config or {})
        if lower_cases:
            self._lower_case()
        self._unfamiliar = UnfamiliarTokens(self._tokenizer)
        self.prefix_ids, self.suffix_ids = self._around() if special_tokens else ((), ())
        if (token := self.find_without_vector((*self.prefix_ids, *self.suffix_ids))) is not None:
            raise UnsupportedModel(
                f"{path} puts the token {token!r} around a text, but the network has no vector for it."
            )

    def encode(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """Return the ids of each text in the same order, without special tokens.

        Args:
            texts: any number.
            max_tokens: how many ids of a text can count; a far longer text is not tokenized to its end. None for all.
        """
        if max_tokens is None:
            return [each.ids for each in self._encode(texts)]
        whole = max(_CHARACTERS_PER_TOKEN * max_tokens, _MIN_PIECE_CHARACTERS)
        if max(map(len, texts), default=0) <= whole:
            return [each.ids for each in self._encode(texts)]
        ends = [_end_of_piece(text, 0, whole) for text in texts]
        firsts = self._encode([text[:end] for text, end in zip(texts, ends, strict=True)])
        wanted = max_tokens + _SPARE_TOKENS
        return [
            self._continue(each.ids, text, end, wanted) if end < len(text) else each.ids
            for each, text, end in zip(firsts, texts, ends, strict=True)
        ]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text in the same order, without special tokens."""
        return [sum(len(self._encode([piece])[0]) for piece in _pieces(text, 0)) for text in texts]

    def list_tokens(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[TextToken]]:
        """Return the tokens of each text with their places in it, in the same order."""
        takes_any = special_tokens and bool(self.prefix_ids or self.suffix_ids)
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=takes_any)
        return [_tokens_of(encoding, text) for encoding, text in zip(encodings, texts, strict=True)]

    def count_unfamiliar(self, ids: Sequence[int]) -> int:
        """Return how many of the ids stand for text that the model was not made for."""
        return self._unfamiliar.count(ids)

    def find_unknown(self, ids: Sequence[int]) -> int | None:
        """Return the first id that is not in the vocabulary, or None."""
        size = self._tokenizer.get_vocab_size()
        return next((each for each in ids if not 0 <= each < size), None)

    def find_without_vector(self, ids: Sequence[int]) -> str | None:
        """Return the first of the tokens for which the network has no vector, or None."""
        return next((self.without_vector[each] for each in ids if each in self.without_vector), None)

    def decode(self, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts for ids of the vocabulary, without special tokens."""
        return self._tokenizer.decode_batch([list(ids) for ids in token_ids], skip_special_tokens=True)

    def _continue(self, ids: list[int], text: str, start: int, wanted: int) -> list[int]:
        """Return a text's ids up to the wanted number; those before `start` are known."""
        ids = list(ids)
        for piece in _pieces(text, start):
            if len(ids) >= wanted:
                break
            ids += self._encode([piece])[0].ids
        return ids

    def _encode(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        try:
            if len(texts) == 1 and len(texts[0]) <= _QUERY_CHARACTERS:
                return [self._tokenizer.encode(texts[0], add_special_tokens=False)]
            return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:  # a lone surrogate, which is possible in Python strings but not in UTF-8
            whole = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
            return self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)

    def _lower_case(self) -> None:
        normalizer = self._tokenizer.normalizer
        after = [normalizer] if normalizer else []
        self._tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *after])

    def _around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Find the special tokens: they appear around a probe."""
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        whole = self._tokenizer.encode("a").ids
        start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
        return tuple(whole[:start]), tuple(whole[start + len(bare) :])

    def pair_template(self) -> PairTemplate:
        """Find the special tokens of a pair, and which of its tokens have type 1, by what appears around a probe."""
        whole = self._tokenizer.encode("a", "a")
        texts = whole.sequence_ids
        is_marked = [self._has_types and bool(each) for each in whole.type_ids]
        ids = [~each if marked else each for each, marked in zip(whole.ids, is_marked, strict=True)]
        first, second = texts.index(0), texts.index(1)
        between = next(place for place in range(first, len(ids)) if texts[place] != 0)
        after = next((place for place in range(second, len(ids)) if texts[place] != 1), len(ids))
        return PairTemplate(
            before=tuple(ids[:first]),
            between=tuple(ids[between:second]),
            after=tuple(ids[after:]),
            marks_second=is_marked[second],
        )


def _find_without_vector(tokenizer: tokenizers.Tokenizer, config: Mapping[str, Any]) -> dict[int, str]:
    """Return the tokens beyond the network's table; few texts have such tokens, and those are refused.

    Raises:
        UnsupportedModel: usual words are beyond it too.
    """
    rows: Any = (config.get("text_config") or config).get("vocab_size")
    if not isinstance(rows, int):
        return {}
    # Some Qwen3 embedding models have the tokens for thoughts and answers of tools, and no vectors for them.
    added = {id_: token.content for id_, token in tokenizer.get_added_tokens_decoder().items() if id_ >= rows}
    own = tokenizer.get_vocab_size(with_added_tokens=False)
    if own > rows:
        words = tokenizer.get_vocab(with_added_tokens=False).items()
        word = next((word for word, id_ in words if id_ >= rows and id_ not in added), None)
        if word is not None:
            raise UnsupportedModel(
                f"tokenizer.json has the token {word!r} and {own} tokens in all, but the network has vectors for {rows}"
                " (vocab_size in config.json)."
            )
    return added


def _tokens_of(encoding: tokenizers.Encoding, text: str) -> list[TextToken]:
    found = zip(encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [
        TextToken(token_id=token_id, text=name, is_special=True)
        if is_special
        else TextToken(token_id=token_id, text=text[start:end], is_special=False, start=start, end=end)
        for token_id, name, (start, end), is_special in found
    ]


def _pieces(text: str, start: int) -> Iterator[str]:
    """Yield a text from `start` on in pieces; a short text is one piece."""
    while start < len(text):
        end = _end_of_piece(text, start, _PIECE_CHARACTERS)
        yield text[start:end]
        start = end


def _end_of_piece(text: str, start: int, characters: int) -> int:
    """Return where a piece of about this many characters ends: at the text's end, or before a space nearby."""
    end = start + characters
    if end >= len(text):
        return len(text)
    space = max(text.rfind(each, max(start + 1, end - _SEARCHED_FOR_A_SPACE), end) for each in (" ", "\n"))
    return space if space > 0 else end


def load_tokenizer(record: ModelRecord, folder: Path) -> Tokenizer:
    """Return the tokenizer of the model in `folder`.

    Raises:
        UnsupportedModel: its tokenizer.json cannot be read.
    """
    here = folder / record.network_path
    if not engine_of(record).has_network:  # of a table, sentence-transformers reads tokenizer.json alone
        return Tokenizer(here / "tokenizer.json", special_tokens=False)
    return Tokenizer(
        here / "tokenizer.json",
        lower_cases=record.lower_cases,
        settings=read_document(here, "tokenizer_config.json"),
        config=read_document(here, "config.json"),
    )
