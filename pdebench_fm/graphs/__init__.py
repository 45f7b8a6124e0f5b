"""ONNX graphs from anybody: looked at as data before they are loaded, and run in a process of their own with limits."""
