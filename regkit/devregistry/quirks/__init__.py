"""Quirks: how real registries behave, as switches of the embedded one."""
