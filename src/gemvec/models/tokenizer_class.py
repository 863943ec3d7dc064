"""What the class that tokenizer_config.json names changes in a tokenizer.json: `apply_class`.

transformers reads tokenizer.json and then lets the tokenizer's class set some parts of it again, from
tokenizer_config.json or from defaults of its own. Done here is what all its versions do alike; where they differ,
tokenizer.json counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from gemvec.errors import UnsupportedModel

# Classes with BERT's normalizer, by a part of their names.
_WORD_PIECE_CLASSES = ("Bert", "Electra", "Funnel", "LayoutLM", "Lxmert", "MPNet")
# Settings in tokenizer_config.json with the class's defaults, by their names in BERT's normalizer.
_NORMALIZER_SETTINGS: Mapping[str, tuple[str, Any]] = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}
# Classes that work on bytes, and put a space before a text only if they are told to.
_BYTE_CLASSES = {"RobertaTokenizer", "GPT2Tokenizer", "BartTokenizer", "LongformerTokenizer"}
# Classes that put special tokens around a text as tokenizer_config.json says, in some versions of transformers.
_FRAMING_CLASSES = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer", "GPTNeoXTokenizer"}
# The class of a network's tokenizer if no file names one.
_CLASSES = dict.fromkeys(["bert", "distilbert", "electra", "ernie", "mpnet", "nomic_bert"], "BertTokenizer") | {
    "roberta": "RobertaTokenizer"
}


def apply_class(
    tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> None:
    """Change a tokenizer as transformers does after reading it.

    Args:
        tokenizer: as tokenizer.json describes it.
        settings: the model's tokenizer_config.json.
        config: its config.json.

    Raises:
        UnsupportedModel: the class would change more than is done here.
    """
    if settings.get("split_special_tokens"):
        raise UnsupportedModel("tokenizer_config.json has split_special_tokens, expected false.")
    _refuse_unknown_tokens(tokenizer, settings)
    network = config or {}
    named = (
        settings.get("tokenizer_class")
        or network.get("tokenizer_class")
        or _CLASSES.get(str(network.get("model_type")))
    )
    kind = str(named).removesuffix("Fast")
    is_word_piece = any(map(kind.__contains__, _WORD_PIECE_CLASSES))
    if is_word_piece:
        _apply_word_pieces(tokenizer, settings)
    if is_word_piece or kind == "RobertaTokenizer":
        _check_ends(tokenizer, settings)
    if kind in _FRAMING_CLASSES:
        _check_frame(tokenizer, settings)
    if kind in _BYTE_CLASSES and isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        splitter = tokenizer.pre_tokenizer
        splitter.add_prefix_space = bool(settings.get("add_prefix_space"))
        tokenizer.pre_tokenizer = splitter


def _apply_word_pieces(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    normalizer, model = tokenizer.normalizer, tokenizer.model
    if not isinstance(normalizer, normalizers.BertNormalizer):
        if isinstance(model, models.WordPiece):
            found = type(normalizer).__name__ if normalizer else None
            raise UnsupportedModel(
                f"tokenizer.json has the normalizer {found}, but the model's files name a tokenizer of BERT's kind;"
                " some versions of transformers put BERT's normalizer there. If tokenizer.json is right, write"
                ' "tokenizer_class": "PreTrainedTokenizerFast" into tokenizer_config.json.'
            )
        return
    unknown = _token(settings, "unk_token")
    if isinstance(model, models.WordPiece) and unknown not in {None, model.unk_token}:
        raise UnsupportedModel(
            f"tokenizer_config.json has unk_token {unknown!r}, but tokenizer.json {model.unk_token!r}."
        )
    if tokenizer.post_processor is None:
        raise UnsupportedModel("tokenizer.json has no post_processor, so no special tokens around a text.")
    for own_name, (name, default) in _NORMALIZER_SETTINGS.items():
        setattr(normalizer, own_name, settings.get(name, default))
    tokenizer.normalizer = normalizer


def _refuse_unknown_tokens(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    """Refuse tokens that transformers would add to those of tokenizer.json, and take whole wherever they appear."""
    listed: list[Any] = [settings.get(name) or [] for name in ("extra_special_tokens", "additional_special_tokens")]
    listed.append(settings.get("added_tokens_decoder") or {})
    for each in listed:
        for token in cast("dict[str, Any]", each).values() if isinstance(each, dict) else each:
            name = cast("dict[str, Any]", token).get("content") if isinstance(token, dict) else token
            if isinstance(name, str) and tokenizer.token_to_id(name) is None:
                raise UnsupportedModel(
                    f"tokenizer_config.json has the token {name!r}, which tokenizer.json lacks. Write both again with"
                    " transformers (AutoTokenizer.from_pretrained, save_pretrained)."
                )


def _check_ends(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    """Refuse files that differ in the special tokens around a text."""
    around = tokenizer.encode("a").tokens
    for name in ("cls_token", "sep_token"):
        token = _token(settings, name)
        if token is not None and token not in around:
            raise UnsupportedModel(
                f"tokenizer_config.json has {name} {token!r}, which tokenizer.json does not put around a text; versions"
                " of transformers differ in which counts. Write both the same, as the model was trained."
            )


def _check_frame(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    """Refuse files that differ in whether a text gets its first or last special token."""
    around = tokenizer.encode("a").tokens
    for part in ("bos", "eos"):
        asked, token = settings.get(f"add_{part}_token"), _token(settings, f"{part}_token")
        if asked is not None and token is not None and bool(asked) != (token in around):
            raise UnsupportedModel(
                f"tokenizer_config.json has add_{part}_token {asked!r}, but tokenizer.json"
                f" {'adds' if token in around else 'does not add'} {token}; versions of transformers differ in which"
                " counts. Write both the same, as the model was trained."
            )


def _token(settings: Mapping[str, Any], name: str) -> str | None:
    """Return a special token of tokenizer_config.json, which may be an object with the text as its content."""
    token: Any = settings.get(name)
    return cast("dict[str, Any]", token).get("content") if isinstance(token, dict) else token
