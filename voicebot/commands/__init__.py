"""The larger subcommands of `voicebot`, a file each."""
