"""The Hugging Face Hub: robust calls on one repository, its failures explained, and the names it accepts."""
