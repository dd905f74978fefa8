"""The vendors' sides of their protocols, one module each, written from their documents.

The adapters in functions/providers are written from the same documents and share no code with these: a mistake in one
of the two shows up against the other.
"""
