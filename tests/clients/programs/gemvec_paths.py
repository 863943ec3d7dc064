"""Makes gemvec importable in an environment of other pins: its packages come after those of the environment."""

import os
import sys

sys.path.extend(os.environ["GEMVEC_PATHS"].split(os.pathsep))
