"""The bot's voice: text made speakable, spoken by an engine, levelled, and kept so that a prompt starts at once."""
