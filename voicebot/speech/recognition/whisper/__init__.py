"""Open dictation with Whisper models through CTranslate2, as faster-whisper packs them."""
