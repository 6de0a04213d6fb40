"""Training: the only part that knows torch. It takes rows and a recipe, and leaves a bundle."""

import os

# Read by OpenMP when torch is first imported: waiting threads sleep instead of burning a core that others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
