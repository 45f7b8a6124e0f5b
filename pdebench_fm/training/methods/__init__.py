"""The package's own ways of adapting that see nothing but the support set: what each is, without its settings."""
