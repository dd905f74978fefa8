"""WORK OUT: one file a technology."""
