"""How many examples each property gets: few in every run, FUZZ_EXAMPLES when fuzzing.

`python -m bench fuzz` sets FUZZ_EXAMPLES; it is not for `make test`, whose minutes are everybody's.
"""

import os

from hypothesis import HealthCheck, settings

_COMMON = settings(
    deadline=None,
    # A folder that the examples of one property share: each overwrites the file.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("every run", _COMMON, max_examples=100)
settings.register_profile(
    "fuzz", _COMMON, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "0")) or 200, database=None
)
settings.load_profile("fuzz" if "FUZZ_EXAMPLES" in os.environ else "every run")
