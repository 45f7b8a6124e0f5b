"""Verification of a build or a published dataset: files against the manifest, rows against their recipes."""
