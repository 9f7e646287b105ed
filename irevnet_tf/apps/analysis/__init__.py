"""The parts of irevnet-analyze: flags, studies, files and report."""
