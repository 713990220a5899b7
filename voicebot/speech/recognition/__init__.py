"""Speech recognition: engines that live in worker processes, and the transcriber that reaches them from the calls."""
