"""voicebot: a self-hosted server that answers a company's phone."""

__version__ = "0.1.0"
