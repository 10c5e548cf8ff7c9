"""What differs from registry to registry: one table, and a file for each vendor's own API."""
