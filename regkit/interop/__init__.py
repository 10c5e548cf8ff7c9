"""Bridges to other projects' clients, each imported only by who asks for it."""
