"""check_invertible: tests your layers against this package's promises."""

from irevnet_tf.testing.checking import CHECKS
from irevnet_tf.testing.checking import check_invertible
from irevnet_tf.testing.report import Check
from irevnet_tf.testing.report import Report

__all__ = ["CHECKS", "Check", "Report", "check_invertible"]
