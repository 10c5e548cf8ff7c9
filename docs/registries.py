"""Write docs/reference/registries.md from the capability table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regkit.vendors.capability import TABLE, Shown, Traits, Untag

TARGET = Path(__file__).parent / "reference" / "registries.md"

INTRO = """# Registries

Written by `make docs` from the table in `regkit/vendors/capability.py`.

What is here was gathered from the vendors' documentation and source code; where something is destroyed if it is wrong,
regkit asks the registry rather than this table.

Whose registry a host is, is known by its name. Where it isn't, or where the API is elsewhere, `regkit.toml` says so:

```toml
[registry."registry.example.com"]
vendor = "gitlab"
api = "https://gitlab.example.com"
```

The login for an API is the registry's own, or what Docker's configuration has for the API's address, as
`hub.docker.com` or `quay.io/api/v1`. It is sent to that address alone, by https; redirects and pages that lead
elsewhere are errors. Where `api` names another address than the vendor's, regkit says that the login goes there.
"""


def page() -> Iterator[str]:
    """Give the page, in pieces."""
    yield INTRO
    yield "## Removing tags\n"
    yield "| registry | `DELETE` of a tag | `DELETE` of a digest | children of an index that stays | a tag goes by |"
    yield "|---|---|---|---|---|"
    for row in TABLE:
        ways = ", then ".join(way.value for way in row.untag) or "no way that regkit uses"
        yield f"| {row.title} | {row.by_tag.value} | {row.by_digest.value} | {row.children.value} | {ways} |"
    yield "\n## Descriptions\n"
    yield "| registry | taken from | the page, at most | the line above it, at most |"
    yield "|---|---|---|---|"
    for row in TABLE:
        if row.shown is not Shown.NOWHERE:
            short = _bytes(row.short_limit) if row.short else "there is none"
            full = _bytes(row.full_limit) if row.shown is Shown.API else "-"
            yield f"| {row.title} | {row.shown.value} | {full} | {short if row.shown is Shown.API else '-'} |"
    yield "\nAll others show none.\n"
    for row in TABLE:
        yield from _notes(row)


def _bytes(limit: int | None) -> str:
    return f"{limit:,} bytes" if limit is not None else "not known"


def _notes(row: Traits) -> Iterator[str]:
    found = [f"Hosts: {', '.join(f'`{host}`' for host in row.hosts)}."] if row.hosts else []
    if row.has_api:
        found.append(f'`vendor = "{row.name}"`; the API is at {row.api or "the address of the registry"}.')
    if row.immutable:
        found.append(f"Before tags are removed, those that are immutable are seen, from {row.immutable}.")
    found += row.remarks
    if row.unsafe:
        found.append(f"It {row.unsafe}: {row.instead}.")
    if Untag.VERSION in row.untag:
        found.append("A version is deleted only where the tag that is to go is the only one on it.")
    if found:
        yield f"## {row.title}\n"
        yield from (f"- {note}" for note in found)
        yield ""


def main() -> None:
    """Write the page."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("\n".join(page()).rstrip() + "\n", encoding="utf-8")
    print(f"wrote {TARGET.name}")


if __name__ == "__main__":
    main()
