"""Rules that put written things into words, one file for each kind of thing. All pure."""
