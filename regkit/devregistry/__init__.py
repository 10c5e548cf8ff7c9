"""The embedded registry: the server half of the protocol."""
