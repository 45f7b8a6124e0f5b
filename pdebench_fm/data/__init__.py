"""Datasets: the catalogue of tasks, rows made on the fly or read from files, builds and digests."""
