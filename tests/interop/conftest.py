"""Fixtures that all tests against real registries, builders and peers share."""
