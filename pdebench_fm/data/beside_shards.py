"""The names of a card and its pictures, which lie in a dataset's folder beside the shards."""

CARD_NAME = "README.md"
FIGURES_FOLDER = "figures"
REGIMES_FIGURE = f"{FIGURES_FOLDER}/regimes.png"
PARAMETERS_FIGURE = f"{FIGURES_FOLDER}/parameters.png"
FIGURES = {"regimes": REGIMES_FIGURE, "parameters": PARAMETERS_FIGURE}
"""The card's pictures, as paths in the dataset's folder."""
