"""The words in which `documents.py` tells what the commands write as JSON: functions that give JSON Schemas.

Keys that are always there are required; new ones may come, so none is forbidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A kind of document: its file's name, what it is, where it comes from, and its schema."""

    name: str
    about: str
    sources: tuple[str, ...]
    schema: Schema


def text(about: str = "", *choices: str) -> Schema:
    """Give the schema of a string."""
    return _described({"type": "string", **({"enum": list(choices)} if choices else {})}, about)


def number(about: str = "") -> Schema:
    """Give the schema of a whole number that isn't negative."""
    return _described({"type": "integer", "minimum": 0}, about)


def truth(about: str = "") -> Schema:
    """Give the schema of true or false."""
    return _described({"type": "boolean"}, about)


def digest(about: str = "") -> Schema:
    """Give the schema of a digest."""
    return _described({"type": "string", "pattern": "^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$"}, about)


def anything(about: str) -> Schema:
    """Give the schema of any JSON at all."""
    return {"description": about}


def listed(item: Schema, about: str = "") -> Schema:
    """Give the schema of an array."""
    return _described({"type": "array", "items": item}, about)


def by_name(value: Schema, about: str = "") -> Schema:
    """Give the schema of an object whose keys are the user's own."""
    return _described({"type": "object", "additionalProperties": value}, about)


def or_null(schema: Schema) -> Schema:
    """Give the schema of a value that may be null."""
    about = schema.get("description", "")
    rest = {key: value for key, value in schema.items() if key != "description"}
    return _described({"anyOf": [rest, {"type": "null"}]}, about)


def maybe(schema: Schema) -> Schema:
    """Mark a key that isn't always there."""
    return {**schema, "x-optional": True}


def record(keys: Mapping[str, Schema], about: str = "", *, closed: bool = True) -> Schema:
    """Give the schema of an object with these keys; where it isn't `closed`, others belong there, too."""
    plain = {name: {k: v for k, v in each.items() if k != "x-optional"} for name, each in keys.items()}
    required = [name for name, each in keys.items() if "x-optional" not in each]
    opened = {} if closed else {"additionalProperties": True}
    return _described({"type": "object", "properties": plain, "required": required, **opened}, about)


def _described(schema: Schema, about: str) -> Schema:
    return {**schema, "description": about} if about else schema


PLATFORM = record(
    {
        "architecture": text(),
        "os": text(),
        "os.version": maybe(text()),
        "os.features": maybe(listed(text())),
        "variant": maybe(text()),
    },
    "a platform, as the OCI image specification has it",
)
DESCRIPTOR_KEYS = {
    "mediaType": text("the media type"),
    "digest": digest("the digest"),
    "size": number("in bytes"),
    "platform": maybe(PLATFORM),
    "annotations": maybe(by_name(text())),
    "artifactType": maybe(text()),
}
DESCRIPTOR = record(DESCRIPTOR_KEYS, "a descriptor, as the OCI image specification has it", closed=False)
NAME = text("the repository, as `ghcr.io/me/hello`")
PULLED = text("the name to pull by")
NUMBER = {"const": 1, "description": "the number of this schema"}
CHANGE = record({"key": text(), "before": anything("any JSON"), "after": anything("any JSON")})
ENTRY = record(
    {**DESCRIPTOR_KEYS, "totalSize": number("with configuration and layers"), "layers": or_null(listed(DESCRIPTOR))},
    "a descriptor, and the layers of what it describes; null where that isn't there",
    closed=False,
)


def document(name: str, about: str, source: str, keys: Mapping[str, Schema]) -> Document:
    """Give a document with these keys, from sources that are parted by commas."""
    return Document(name, about, tuple(source.split(", ")), record({"schema": NUMBER, **keys}))


def lists(name: str, about: str, source: str, key: str, item: Mapping[str, Schema]) -> tuple[Document, Document]:
    """Give the two forms of a list: one document, and one a line."""
    whole = ", ".join(f"{each} --format json" for each in source.split(", "))
    lines = ", ".join(f"{each} --format jsonl" for each in source.split(", "))
    return (
        document(name, about, whole, {key: listed(record(item))}),
        document(f"{name}-line", f"{about}: one of them", lines, item),
    )
