"""Tests of your layers and networks against this package's promises."""

from irevnet_tf.testing.checking import CHECKS
from irevnet_tf.testing.checking import check_invertible
from irevnet_tf.testing.checking_networks import NETWORK_CHECKS
from irevnet_tf.testing.memory_table import LayerMemory
from irevnet_tf.testing.memory_table import MemoryReport
from irevnet_tf.testing.memory_table import TrainingMemory
from irevnet_tf.testing.network_report import NetworkReport
from irevnet_tf.testing.network_report import Point
from irevnet_tf.testing.report import Check
from irevnet_tf.testing.report import Report
from irevnet_tf.testing.training_memory import memory_report

__all__ = [
    "CHECKS",
    "Check",
    "LayerMemory",
    "MemoryReport",
    "NETWORK_CHECKS",
    "NetworkReport",
    "Point",
    "Report",
    "TrainingMemory",
    "check_invertible",
    "memory_report",
]
