"""Where a README's relative links lead: to the project's page on the web, as git's remote names it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from regkit.errors import UsageError
from regkit.ops.remote import address_of
from regkit.ops.source import ask_git

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_KEPT = "/%!$&'*+,;=:@~"


@dataclass(frozen=True, slots=True)
class Base:
    """Addresses of a project's files, without a last slash: `links` shows one, `images` is its bytes.

    `directory` is where the README is in it, "" at its top; `page` is the README itself, if that is known.
    """

    links: str
    images: str
    directory: str = ""
    page: str | None = None

    def resolve(self, destination: str, image: bool) -> str:  # noqa: FBT001 - a Resolve
        """Make a destination absolute; whole URLs, anchors, and what leads out of the project stay as they are."""
        if not destination or destination.startswith(("#", "?", "//")) or _SCHEME.match(destination):
            return destination
        parts = urlsplit(destination)
        path = unquote(parts.path)
        inside = posixpath.normpath(
            path.lstrip("/") if path.startswith("/") else f"{self.directory}/{path}".lstrip("/")
        )
        if inside == ".." or inside.startswith("../"):
            return destination
        slash = "/" if path.endswith("/") and inside != "." else ""
        below = "" if inside == "." else f"/{quote(inside, safe=_KEPT.replace('%', ''))}{slash}"
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.images if image else self.links}{below}{query}{parts.fragment and f'#{parts.fragment}'}"


def base_at(url: str) -> Base:
    """Take the address at which the README's folder is shown; raise UsageError for what isn't one.

    Of GitHub's and GitLab's the one for images follows: `/raw/` in the place of `/blob/`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise UsageError(f"not a base for links: {url[:200]!r}", hint="write https://github.com/OWNER/NAME/blob/main")
    links = url.rstrip("/")
    return Base(links, re.sub(r"/(?:blob|tree)/", "/raw/", links, count=1))


def base_of(file: Path) -> Base | None:
    """Ask git where the project of a file is on the web; None outside a repository, and for a site that isn't known."""
    folder = file.resolve().parent
    project = address_of(folder)
    top = ask_git(folder, "rev-parse", "--show-toplevel") if project else None
    if top is None:
        return None
    inside = file.resolve().relative_to(Path(top).resolve())
    directory = "" if inside.parent == Path() else inside.parent.as_posix()
    found = _site(project, folder)
    if found is None:
        return None
    links, images = found
    return Base(links, images, directory, f"{links}/{quote(inside.as_posix())}")


def _site(project: str, folder: Path) -> tuple[str, str] | None:
    """Give the addresses of a project's files, as its site forms them: of its newest state, where it has one."""
    host = urlsplit(project).hostname or ""
    if "github" in host:
        return f"{project}/blob/HEAD", f"{project}/raw/HEAD"
    if "gitlab" in host:
        return f"{project}/-/blob/HEAD", f"{project}/-/raw/HEAD"
    if "bitbucket" in host:
        return f"{project}/src/HEAD", f"{project}/raw/HEAD"
    if "codeberg" in host or "gitea" in host or "forgejo" in host:
        commit = ask_git(folder, "rev-parse", "HEAD")
        return (f"{project}/src/commit/{commit}", f"{project}/raw/commit/{commit}") if commit else None
    return None
