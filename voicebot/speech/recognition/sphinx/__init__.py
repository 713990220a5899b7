"""Closed-domain recognition with pocketsphinx: grammars and language models compiled from what a bot expects."""
