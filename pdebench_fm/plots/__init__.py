"""Pictures of results: what they show is gathered once, as plain objects, and drawn by Matplotlib or Plotly."""
