"""The modules whose `__all__` are what users import."""

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf import baselines
from irevnet_tf import data
from irevnet_tf import distribution
from irevnet_tf import export
from irevnet_tf import layers
from irevnet_tf import serving
from irevnet_tf import testing
from irevnet_tf import training

PUBLIC_MODULES = (
    irevnet_tf,
    analysis,
    baselines,
    data,
    distribution,
    export,
    layers,
    serving,
    testing,
    training,
)
