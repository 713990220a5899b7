"""Work that must happen after a call, and what people decide about what the bot does."""
