"""A simulated fleet: how long a campaign takes, how much of Lambda, at what price, and what gives way first."""
