"""What `--executor` may be; what is wrong with it is said before anything is fetched."""

import subprocess
import sys

import pytest

from gemvec.batches.executor import LocalExecutor
from gemvec.errors import BadSetting
from gemvec.models.fake import FakeEmbedder
from gemvec.ray.messages import AUTO
from gemvec.ray.spec import make_spec
from gemvec.server.executor import check_executor, open_executor
from gemvec.settings import Settings


@pytest.mark.parametrize(
    "executor", ["", "Ray", "process", "ray:", "ray:6379", "ray://10.0.0.5:10001", "ray:host:", "ray:host:port"]
)
def test_a_place_that_is_not_one_is_refused_by_name(executor):
    with pytest.raises(BadSetting, match=r"--executor has value .*: expected local, ray or ray:HOST:PORT"):
        check_executor(Settings(executor=executor))


def test_a_server_without_models_has_nothing_to_compute_on_a_cluster():
    with pytest.raises(BadSetting, match=r"with --upstream google there are none"):
        check_executor(Settings(executor="ray", upstream="google"))


def test_no_more_actors_are_kept_than_there_may_be():
    with pytest.raises(BadSetting, match=r"--ray-min-actors has value 3: must be at most --ray-max-actors, which is 2"):
        check_executor(Settings(executor="ray", ray_min_actors=3, ray_max_actors=2))


def test_without_ray_the_error_names_the_extra():
    source = (
        "import sys; sys.modules['ray'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'ray' else find(name, *rest)\n"
        "sys.argv = ['gemvec', 'serve', '--executor', 'ray', '--port', '0']\n"
        "from gemvec.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --executor ray needs Ray. Install it from a checkout")


def test_batches_are_computed_on_this_machine_by_default():
    assert isinstance(open_executor(Settings(model=("fake",)), FakeEmbedder()), LocalExecutor)


@pytest.mark.parametrize(("cores", "pieces"), [(0.5, 2), (1, 2), (2, 4), (3.5, 6), (8, 16), (64, 16)])
def test_an_actor_has_two_pieces_for_each_core_so_that_similar_texts_are_computed_together(cores, pieces):
    spec = make_spec(Settings.load({}, ray_actor_cpus=cores, ray_max_actors=3), FakeEmbedder(), AUTO)
    assert (spec.pieces_each, spec.pieces_in_flight) == (pieces, 3 * pieces)
