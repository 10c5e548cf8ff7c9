"""What the commands write as JSON: the JSON Schemas of all documents, as data. `schemas.py` writes them out."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from kinds import (
    CHANGE,
    DESCRIPTOR,
    DESCRIPTOR_KEYS,
    ENTRY,
    NAME,
    NUMBER,
    PLATFORM,
    PULLED,
    Document,
    Schema,
    anything,
    by_name,
    digest,
    document,
    listed,
    lists,
    maybe,
    number,
    or_null,
    record,
    text,
    truth,
)
from releases import RELEASES, SHOWN

from regkit.events import Event
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest

TAG_DECISION = {
    "tag": text(),
    "digest": or_null(digest()),
    "created": or_null(text("RFC 3339")),
    "reason": text(),
}
MANIFEST_DECISION = {"digest": digest(), "mediaType": text(), "size": number(), "reason": text()}
EXPLAINED = {
    "tag": text(),
    "verdict": text("how it is, or what becomes of it", "stands", "wrong", "moves", "kept", "untouched"),
    "reason": text(),
    "digest": or_null(digest("what it stands on, where the rule depends on that")),
}
LOGIN = {"host": text(), "user": or_null(text()), "source": or_null(text("the file or variable it is from"))}
FINDING = {
    "name": text(),
    "ok": truth(),
    "detail": text(),
    "platforms": listed(text(), "those that it holds back"),
    "remedy": text("the command that brings what is missing"),
}
SIDE = {"name": text(), **DESCRIPTOR_KEYS, "attestations": listed(digest())}
COMPARED = or_null(record({**DESCRIPTOR_KEYS, "totalSize": number()}, closed=False))
DIFFERENCE = {
    "platform": text(),
    "equal": truth(),
    "before": COMPARED,
    "after": COMPARED,
    "layers": record({key: listed(DESCRIPTOR) for key in ("shared", "removed", "added")}),
    "config": listed(CHANGE),
    "annotations": listed(CHANGE),
}

DOCUMENTS: tuple[Document, ...] = (
    *RELEASES,
    document(
        "inspect",
        "A manifest: an index with its images, or an image with its layers",
        "inspect --format json, inspect --format jsonl",
        {
            "name": PULLED,
            "digest": digest(),
            "mediaType": text(),
            "size": number(),
            "annotations": by_name(text()),
            "manifests": maybe(listed(ENTRY, "an index's")),
            "platform": maybe(or_null(PLATFORM)),
            "layers": maybe(or_null(listed(DESCRIPTOR, "an image's"))),
        },
    ),
    document(
        "configs",
        "The configurations of several images",
        "inspect --config --format json, inspect --config --format jsonl",
        {"name": PULLED, "configs": by_name(anything("a configuration"), "by platform, else by digest")},
    ),
    document(
        "attestations",
        "What is attested of images",
        "inspect --attestations --format json, inspect --attestations --format jsonl",
        {
            "name": PULLED,
            "attestations": listed(
                record(
                    {
                        "image": digest(),
                        "platform": or_null(PLATFORM),
                        "manifest": digest("the attestation's"),
                        "predicateType": text('"" where nobody says'),
                        "digest": digest("the statement's"),
                        "size": number(),
                        "statement": anything("the statement; null where it is too large"),
                    }
                )
            ),
        },
    ),
    document(
        "referrers",
        "What refers to an image",
        "referrers --format json",
        {"name": PULLED, "referrers": listed(DESCRIPTOR)},
    ),
    Document(
        "referrers-line",
        "What refers to an image: one of them",
        ("referrers --format jsonl",),
        record({"schema": NUMBER, "name": PULLED, **DESCRIPTOR_KEYS}, closed=False),
    ),
    document(
        "resolve",
        "What names stand for",
        "resolve --format json",
        {"results": listed(record({"name": PULLED, **DESCRIPTOR_KEYS}, closed=False))},
    ),
    Document(
        "resolve-line",
        "What names stand for: one of them",
        ("resolve --format jsonl",),
        record({"schema": NUMBER, "name": PULLED, **DESCRIPTOR_KEYS}, closed=False),
    ),
    document(
        "verify",
        "What was looked at, and what is wrong",
        "verify --format json, verify --format jsonl",
        {
            "name": text(),
            "digest": digest(),
            "good": truth("whether nothing is wrong"),
            "platforms": listed(text()),
            "manifests": number("how many were looked at"),
            "blobs": number("how many were looked at"),
            "findings": listed(record({"severity": text("", "wrong", "note"), "where": text(), "text": text()})),
        },
    ),
    document(
        "diff",
        "In what two releases differ",
        "diff --format json",
        {
            "equal": truth(),
            "before": record(SIDE, closed=False),
            "after": record(SIDE, closed=False),
            "annotations": listed(CHANGE),
            "images": listed(record(DIFFERENCE), "by platform"),
        },
    ),
    document(
        "copy",
        "What was copied, or would be",
        "copy --format json",
        {
            "source": text(),
            "destination": text(),
            "tags": listed(
                record(
                    {
                        "tag": or_null(text()),
                        "digest": digest(),
                        "previous": or_null(digest("where the tag stood")),
                        "kept": or_null(text("why the tag stays where it was")),
                    }
                )
            ),
            "manifests": listed(DESCRIPTOR, "those that weren't there"),
            "blobs": listed(DESCRIPTOR, "those that weren't there"),
            "dryRun": truth(),
        },
    ),
    document(
        "index",
        "An index that was written, or would be",
        "index create --format json, index append --format json, index remove --format json,"
        " index annotate --format json",
        {
            "name": text(),
            "digest": digest(),
            "mediaType": text(),
            "size": number(),
            "tags": listed(text()),
            "annotations": by_name(text()),
            "manifests": listed(DESCRIPTOR),
            "copied": listed(DESCRIPTOR, "what was brought from elsewhere"),
            "dryRun": truth(),
        },
    ),
    document(
        "tags",
        "A repository's tags",
        "tag ls --format json",
        {
            "name": NAME,
            "tags": listed(text(), "in order"),
            "dates": maybe(
                by_name(or_null(text()), "with --dates: when each tag was set; null: the vendor doesn't say")
            ),
        },
    ),
    document(
        "tags-line",
        "A repository's tags: one of them",
        "tag ls --format jsonl",
        {
            "name": NAME,
            "tag": text(),
            "date": maybe(or_null(text("with --dates: when it was set; null: the vendor doesn't say"))),
        },
    ),
    document(
        "explain",
        "Which rule made a tag, or holds it back",
        "tag explain --format json",
        {"name": NAME, "tags": listed(record(EXPLAINED))},
    ),
    document(
        "explain-line",
        "Which rule made a tag, or holds it back: one of them",
        "tag explain --format jsonl",
        {"name": NAME, **EXPLAINED},
    ),
    document(
        "tag-set",
        "Tags that were set",
        "tag set --format json",
        {"name": NAME, "digest": digest("what they stand on"), "tags": listed(text(), "in order")},
    ),
    document(
        "tag-rm",
        "Tags that were removed, or would be",
        "tag rm --format json",
        {
            "dryRun": truth(),
            "removed": listed(
                record({"name": text(), "digest": or_null(digest("null: it wasn't there"))}),
                "after a failure those that went",
            ),
        },
    ),
    document(
        "manifest-rm",
        "Manifests that were deleted, or would be",
        "manifest rm --format json",
        {
            "dryRun": truth(),
            "removed": listed(
                record(
                    {
                        "name": text(),
                        "mediaType": or_null(text("null: it wasn't there")),
                        "tags": listed(text(), "that stood on it"),
                        "breaks": listed(text(), "tags of indexes that list it"),
                    }
                )
            ),
        },
    ),
    document(
        "cleanup-plan",
        "What a cleanup removes and keeps; `cleanup apply --plan` reads it",
        "cleanup plan --format json, cleanup plan --out",
        {
            "images": listed(
                record(
                    {
                        "image": NAME,
                        "untagged": truth(),
                        "remove": listed(record(TAG_DECISION), "tags that go"),
                        "keep": listed(record(TAG_DECISION), "tags that stay"),
                        "delete": listed(record(MANIFEST_DECISION), "manifests that go"),
                        "spare": listed(record(MANIFEST_DECISION), "manifests without a tag that stay"),
                    }
                )
            )
        },
    ),
    document(
        "cleanup-plan-line",
        "One decision of a cleanup",
        "cleanup plan --format jsonl",
        {
            "image": NAME,
            "action": text("of a tag, or of a manifest", "remove", "keep", "delete", "spare"),
            **{key: maybe(each) for key, each in {**MANIFEST_DECISION, **TAG_DECISION}.items()},
        },
    ),
    document(
        "cleanup",
        "What a cleanup did",
        "cleanup apply --format json",
        {
            "images": listed(
                record(
                    {
                        "image": NAME,
                        "removed": listed(text(), "tags"),
                        "deleted": listed(digest(), "manifests"),
                        "moved": listed(text(), "tags that stay, for they stand elsewhere by now"),
                        "failed": listed(record({"name": text("a tag or a digest"), "error": text()})),
                    }
                )
            )
        },
    ),
    *lists("readme-push", "READMEs that were sent where they differ", "readme push", "images", SHOWN),
    *lists(
        "readme-diff",
        "In what pages differ from a README",
        "readme diff",
        "images",
        {"name": NAME, "vendor": text(), "changed": truth(), "diff": listed(text(), "a unified diff's lines")},
    ),
    document(
        "whoami",
        "Who one is at a registry",
        "whoami HOST --format json, whoami HOST --format jsonl",
        {**LOGIN, "demands": listed(text(), "what it asks for"), "allowed": truth("whether it lets one in")},
    ),
    *lists("logins", "The logins that are known", "whoami", "logins", LOGIN),
    document(
        "caps",
        "What a registry can do",
        "caps --format json, caps --format jsonl",
        {
            "host": text(),
            "repository": or_null(NAME),
            "capabilities": by_name(record({"answer": text(), "detail": text()})),
        },
    ),
    *lists(
        "quirks",
        "What the embedded registry can play",
        "registry quirks",
        "quirks",
        {
            "name": text(),
            "summary": text(),
            "plays": text(),
            "number": or_null(number("what can be set, by NAME=N")),
            "refuses": listed(text()),
        },
    ),
    document(
        "gc",
        "What a registry's directory needs no longer",
        "registry gc --format json",
        {
            "removed": truth("false with --dry-run"),
            "freed": number("bytes"),
            "files": listed(
                record(
                    {
                        "kind": text(),
                        "repository": maybe(text()),
                        "digest": maybe(digest()),
                        "name": maybe(text("an upload's")),
                        "size": number(),
                    }
                )
            ),
        },
    ),
    document(
        "builder",
        "A BuildKit that stays",
        "builder up --format json, builder status --format json",
        {
            "address": text(),
            "version": text(),
            "platforms": listed(text(), "the native one first"),
            "rootless": truth(),
            "started": maybe(truth("of `up`: whether it was started just now")),
        },
    ),
    *lists("doctor", "What a build needs of this machine", "doctor", "findings", FINDING),
    Document(
        "descriptor",
        "A descriptor, as the OCI image specification has it; of several, an array",
        ("manifest head", "blob head"),
        DESCRIPTOR,
    ),
)

_JSON: dict[Any, Schema] = {
    str: text(),
    Digest: digest(),
    bool: truth(),
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    Descriptor: DESCRIPTOR,
}


def events() -> Document:
    """Give the schema of a line of `--progress json`, from the events' classes."""
    kinds = []
    for kind in get_args(Event):
        fields = {name: _of(hint) for name, hint in get_type_hints(kind).items()}
        about = " ".join(str(kind.__doc__).split())
        kinds.append(record({"event": {"const": kind.__name__}, **fields}, about))
    return Document("event", "Something that happened, a line on stderr", ("--progress json",), {"oneOf": kinds})


def _of(hint: Any) -> Schema:
    if isinstance(hint, UnionType):
        return {"anyOf": [_of(each) for each in get_args(hint)]}
    if get_origin(hint) is tuple:
        return listed(_of(get_args(hint)[0]))
    return _JSON[hint]
