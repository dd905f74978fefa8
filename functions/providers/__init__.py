"""SMS OUT: one file a vendor behind the one port. None knows another.

A vendor's module has its `NAME`, `open_provider(account)`, and `RECEIPTS` where it tells what became of a message.
"""
