"""Two passes: pocketsphinx hears along while the caller speaks, Whisper hears what was said to its end."""
