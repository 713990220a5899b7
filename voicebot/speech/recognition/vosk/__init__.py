"""Open recognition with Vosk: streaming dictation by a Kaldi model on the processor."""
