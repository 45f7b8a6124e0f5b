"""How a model is adapted, scored and reported."""
