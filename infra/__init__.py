"""Everything around the functions: nested stacks, the build's slimming step, the local system."""
