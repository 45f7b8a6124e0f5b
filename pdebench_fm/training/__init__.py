"""Training: pretraining on an endless stream, and adaptation to a task's support set."""
