"""What networks leave in memory when they are closed does not grow with their number."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).parent / "golden" / "bert"
WINDOW = 256
SIZES = (256, 320, 384)
MIB = 2**20
# Opens each folder in turn, computes micro-batches of many shapes, closes it, and prints what is resident.
PROGRAM = """
import ctypes, sys
from pathlib import Path
from gemvec.models.engines import engine_of
from gemvec.models.weights import load_model
from gemvec.settings import Settings

settings = Settings.load({}, precision="exact", streams=1)
for folder in sys.argv[1:]:
    model = load_model(folder, Path(folder))
    encoder = engine_of(model.record).open(model.record, model.folder, settings)
    encoder.warm_up([[2, 7, 3]])
    for width in range(4, 129, 4):
        for rows in (1, 2):
            encoder.encode([[7] * width] * rows, 0)
    encoder.close()
    del encoder
    ctypes.CDLL(None).malloc_trim(0)
    print(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])
"""


def write_model(folder, size):
    """Write a BERT as wide as real ones; the kernels of narrower ones are small."""
    shutil.copytree(GOLDEN, folder)
    wider = {32: size, 48: 4 * size, 64: WINDOW}
    chance = np.random.default_rng(size)
    shapes = {name: values.shape for name, values in load_file(GOLDEN / "model.safetensors").items()}
    wide = {name: [wider.get(each, each) for each in shape] for name, shape in shapes.items()}
    weights = {name: chance.normal(0, 0.05, shape).astype(np.float32) for name, shape in wide.items()}
    save_file(weights, folder / "model.safetensors")
    sizes = {"hidden_size": size, "intermediate_size": 4 * size, "max_position_embeddings": WINDOW}
    changes = {
        "config.json": sizes,
        "tokenizer_config.json": {"model_max_length": WINDOW},
        "1_Pooling/config.json": {"embedding_dimension": size},
    }
    for name, changed in changes.items():
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | changed))
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says there what is resident")
def test_networks_that_are_closed_leave_only_some_kernels_behind(tmp_path):
    folders = [str(write_model(tmp_path / f"m{size}", size)) for size in SIZES]
    program = [sys.executable, "-c", PROGRAM, *folders]
    output = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    resident = [int(each) * 1024 for each in re.findall(r"\d+", output)]
    assert len(resident) == len(SIZES)
    assert resident[-1] - resident[0] < 24 * MIB
