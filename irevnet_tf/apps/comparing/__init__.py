"""The parts of irevnet-compare: its runs, steps, table and picture."""
