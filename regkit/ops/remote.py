"""Where a project is on the web, as git's remote `origin` says."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from regkit.ops.source import ask_git

_SCP = re.compile(r"(?:[^@/:\s]+@)?([^@/:\s]+):(?!/)(\S+)")
_SCHEMES = ("http", "https", "ssh", "git+ssh", "git")


def address_of(directory: Path) -> str:
    """Ask git for the address that people open for the project in a directory; "" where there is none."""
    return web_address(ask_git(directory, "remote", "get-url", "origin") or "")


def web_address(remote: str) -> str:
    """Turn a git remote into the address that people open; "" for one that has none. Logins in it are left out."""
    scp = _SCP.fullmatch(remote)
    text = f"https://{scp[1]}/{scp[2]}" if scp and "://" not in remote else remote
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _SCHEMES or not parts.hostname:
        return ""
    web = parts.scheme in ("http", "https")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{host}:{port}" if port and web else host
    path = parts.path.strip("/").removesuffix(".git")
    return f"{parts.scheme if web else 'https'}://{place}/{path}" if path else ""
