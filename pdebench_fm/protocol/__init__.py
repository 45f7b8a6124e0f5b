"""What is measured: tasks, tracks, shots, adaptation recipes and metrics."""
