"""Recordings: files of changes, in rtmon's format or as JSON lines."""
