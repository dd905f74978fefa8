"""SMS OUT: one file a vendor behind the one port. None knows another."""
