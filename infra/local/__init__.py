"""The whole system on one machine: embedded AWS, simulated gateway, real handlers."""
