"""STATE OUT: one file a technology."""
