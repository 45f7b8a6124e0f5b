"""What a result file holds: its schema, per-sample scores, intervals and comparison."""
