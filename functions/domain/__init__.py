"""The rules. Pure and synchronous; the time is an argument, and nothing here reads or writes anything."""
