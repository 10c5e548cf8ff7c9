"""Write docs/reference/json.md, and a JSON Schema for each document in docs/reference/schemas."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from documents import DOCUMENTS, events
from kinds import Document

REFERENCE = Path(__file__).parent / "reference"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
INTRO = """# JSON

Written by `make docs`. With `--format json` a command writes one document to stdout, and nothing else. `schema` is its
number: it changes when a key changes its meaning or goes; new keys may come without that. Of several references
`inspect`, `verify`, `referrers`, `caps`, `tag ls` and `tag explain` write an array of such documents.

With `--format jsonl` lists are written as JSON lines: a document a line, each with its `schema`. What was found is
written even where the exit code isn't 0: of a `verify` that found something wrong, say, or of a release that is up and
partly done.

Each kind of document has a JSON Schema (2020-12) in [schemas](schemas). Digests are `sha256:…`; sizes are in bytes;
platforms are `os/arch[/variant]`, in descriptors objects as OCI has them. `raw` views, `manifest get` and `blob get`
give bytes as they are stored, and are no documents of regkit's.

"""
EVENTS = """
## Events

With `--progress json` each event is a line on stderr: see [events](events.md), and its [schema](schemas/event.json).
"""


def page() -> Iterator[str]:
    """Give the page's parts."""
    yield INTRO
    for each in DOCUMENTS:
        yield f"## {each.name}\n\n{each.about}: {', '.join(f'`{s}`' for s in each.sources)}. "
        yield f"[Schema](schemas/{each.name}.json).\n\n| key | JSON | meaning |\n|---|---|---|\n"
        required = each.schema["required"]
        for key, schema in each.schema["properties"].items():
            absent = "" if key in required else "may be absent"
            about = "; ".join(filter(None, [absent, schema.get("description", "")]))
            yield f"| `{key}` | {_kind(schema)} | {about} |\n"
        yield "\n"
    yield EVENTS.lstrip("\n")


def _kind(schema: Any) -> str:
    if "const" in schema:
        return f"{schema['const']}"
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if str(schema.get("description")).startswith("a descriptor, as"):
        return "descriptor"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of: {_kind(schema['items'])}"
    if kind == "object" and "properties" in schema:
        return f"object: {', '.join(f'`{key}`' for key in schema['properties'])}"
    return str(kind)


def file_of(each: Document) -> str:
    """Give a schema's file."""
    about = {"$schema": DIALECT, "title": each.name, "description": f"{each.about}: {', '.join(each.sources)}"}
    return json.dumps({**about, **{k: v for k, v in each.schema.items() if k != "description"}}, indent=2) + "\n"


def main() -> None:
    """Write all of it."""
    folder = REFERENCE / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    (REFERENCE / "json.md").write_text("".join(page()), encoding="utf-8")
    kept = {f"{each.name}.json": file_of(each) for each in (*DOCUMENTS, events())}
    for old in folder.glob("*.json"):
        if old.name not in kept:
            old.unlink()
    for name, content in kept.items():
        (folder / name).write_text(content, encoding="utf-8")
    print(f"wrote json.md and {len(kept)} schemas")


if __name__ == "__main__":
    main()
