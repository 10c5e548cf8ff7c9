"""BuildKit: the calls of buildctl, and a builder for those who have none."""
