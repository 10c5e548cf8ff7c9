"""The distribution specification without I/O: flows that yield requests and receive responses."""
