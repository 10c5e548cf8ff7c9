"""regkit: a registry-native manifest toolkit.

The public names are resolved when first used, so that importing the package costs nothing.
"""

__version__ = "0.1.0"
