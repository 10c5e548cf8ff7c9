"""regkit.toml: found, read, checked to the last key, and given as frozen values."""
