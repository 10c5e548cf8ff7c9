"""Doubles of vendors' APIs, strict: what the vendor refuses, they refuse. Each says which documentation it follows."""
