"""`make theory`: plan, run and report the measurements of nigt.theory."""
