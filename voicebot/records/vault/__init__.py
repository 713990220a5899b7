"""Recordings at rest: sealed, checked, kept on disk or in an S3-compatible store, and made fit to be heard."""
