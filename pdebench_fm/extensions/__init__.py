"""Code that users bring: importing files and plug-ins, and telling its failures as its own."""
