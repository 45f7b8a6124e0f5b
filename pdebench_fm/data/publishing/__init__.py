"""Publishing finished builds on the Hub: what would change, how it is sent, and what is refused."""
