"""Which engine runs a model: gemvec's own, or sentence-transformers (the extra `torch`): `EngineChoice`.

sentence-transformers runs what nothing else here does, where it is installed, and every network where the operator says
so. What a model is (a reranker, an adapter, a pickle) is refused the same for all engines.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from gemvec.errors import BadSetting, MissingDependency, UnsupportedModel, how_to_install
from gemvec.models.own_code import find_code, require_trust
from gemvec.models.record import ModelRecord
from gemvec.models.weights_choice import SAFETENSORS
from gemvec.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """What the operator allows and wants.

    Attributes:
        prefers_torch: whether sentence-transformers runs every network.
        trusts_code: whether it may run a model's own code.
    """

    prefers_torch: bool = False
    trusts_code: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what `engine` and `trust_remote_code` say."""
        return cls(prefers_torch=settings.engine == "torch", trusts_code=settings.trust_remote_code)

    def settle(self, record: ModelRecord, folder: Path) -> ModelRecord:
        """Return a model's record with the engine that will run it.

        Args:
            record: the model, all its facts known.
            folder: the folder with its files.

        Raises:
            UnsupportedModel: sentence-transformers would have to run it, and cannot, or would need code that is not
                trusted.
            MissingDependency: sentence-transformers is wanted, and is not installed.
        """
        if self.prefers_torch and record.task == "embed":
            record = _with_torch(record, folder)
        if record.engine == "torch":
            require_torch()
            require_trust(str(folder), record.code, is_trusted=self.trusts_code)
        return record


def is_torch_installed() -> bool:
    """Whether the packages of the extra `torch` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "sentence_transformers"))


def require_torch() -> None:
    """Refuse to go on without the extra `torch`.

    Raises:
        MissingDependency: it is not installed.
    """
    if not is_torch_installed():
        raise MissingDependency("--engine torch needs sentence-transformers and torch.", extra="torch")


def check_device_is_used(settings: Settings, records: Iterable[ModelRecord]) -> None:
    """Refuse `--device` where no model would be computed there.

    Args:
        settings: `device` and `engine`.
        records: the models that embed.

    Raises:
        BadSetting: no model is run by sentence-transformers.
    """
    if not settings.device or any(each.engine == "torch" for each in records):
        return
    mend = "leave it out: a table of vectors needs none" if settings.engine == "torch" else "add --engine torch"
    raise BadSetting(f"--device has value {settings.device!r}, but only sentence-transformers can use it: {mend}.")


def or_torch(refusal: UnsupportedModel) -> UnsupportedModel:
    """Return a refusal of gemvec's own engines that also says that sentence-transformers may run the model."""
    return UnsupportedModel(f"{refusal.reason} sentence-transformers may run it: {_lower(how_to_install('torch'))}")


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _with_torch(record: ModelRecord, folder: Path) -> ModelRecord:
    """Return the record of a model that another engine runs, for sentence-transformers; a table stays one."""
    if record.engine in {"static", "torch"}:
        return record
    paths = [record.weights_path, *((Path(record.network_path) / name).as_posix() for name in SAFETENSORS)]
    chosen = next((each for each in paths if each.endswith(SAFETENSORS) and (folder / each).is_file()), None)
    if chosen is None:
        raise UnsupportedModel(
            f"{folder} has no {' or '.join(SAFETENSORS)}, which --engine torch needs; its weights are"
            f" {record.weights_path}. Leave --engine out, or name a folder or a hub id with safetensors (what is here"
            " may have been chosen for another engine: gemvec models fetch --force --engine torch)."
        )
    return replace(record, engine="torch", weights_path=chosen, code=find_code(folder))
