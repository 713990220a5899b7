"""Who comes in: sign-in, sessions, tokens, and the check that stands before every route."""
