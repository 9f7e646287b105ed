"""What irevnet-analyze is made of: its flags, studies, files and report."""
