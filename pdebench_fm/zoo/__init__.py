"""The zoo: the weights and recipes that come with the package, their cards, and publishing models."""
