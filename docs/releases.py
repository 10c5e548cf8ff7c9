"""What the commands that make releases write as JSON: publish, plan, build, merge."""

from __future__ import annotations

from kinds import (
    DESCRIPTOR,
    NAME,
    NUMBER,
    PULLED,
    Document,
    by_name,
    digest,
    document,
    listed,
    or_null,
    record,
    text,
    truth,
)

PUBLISHED = {
    "image": NAME,
    "tags": listed(text(), "the tags that stand on the release, in order"),
    "kept": listed(text(), "the tags that stay where they were"),
    "up": truth("whether the release is up there; false after a failure that left only these tags on it"),
}
SHOWN = {"name": NAME, "changed": truth("whether it was another one before")}
PUBLISH = {
    **PUBLISHED,
    "digest": digest("the index's"),
    "descriptor": DESCRIPTOR,
    "destinations": listed(
        record(PUBLISHED),
        "every repository with a tag on the release, those where it is up first; the first is `image`",
    ),
    "images": listed(DESCRIPTOR, "the platforms' images"),
    "reused": truth("whether all of it was published already"),
    "readme": listed(record(SHOWN), "the pages that show the README"),
    "unfinished": or_null(text("what isn't as it was asked for; the exit code says of what kind it is, and isn't 0")),
}
PLANNED = {
    "image": NAME,
    "tags": listed(
        record(
            {
                "tag": text(),
                "moves": truth("whether it will stand on the release"),
                "reason": text(),
                "from": or_null(digest("where it stands now")),
            }
        )
    ),
    "push": listed(DESCRIPTOR, "the manifests that aren't there yet; of a build they aren't known"),
    "standing": by_name(digest(), "where the tags stand that may be touched"),
}
PLAN = {
    **PLANNED,
    "destinations": listed(record(PLANNED), "every repository; the first is `image`"),
    "platforms": listed(text()),
    "annotations": by_name(text(), "the index's"),
    "build": truth("whether anything is built"),
    "reason": text("why, or why not"),
    "digest": or_null(digest("the index's, where it is known before a build")),
    "test": or_null(record({"command": text(), "platforms": listed(text()), "runs": truth()})),
    "intermediates": listed(text(), "the tags that name images on the way"),
    "keepIntermediates": truth(),
    "readme": listed(
        record(
            {
                "name": NAME,
                "changed": or_null(truth("null where nothing is sent, or nobody can tell")),
                "reason": text(),
            }
        ),
        "what becomes of the repositories' pages",
    ),
}
REQUEST = {
    "images": listed(NAME),
    "sources": listed(text()),
    "context": or_null(text()),
    "file": or_null(text()),
    "target": text(),
    "buildArgs": listed(text(), "their names; values may be secret"),
    "attests": listed(text()),
    "sourceDigest": or_null(digest()),
    "ref": or_null(text()),
    "commit": or_null(text()),
    "tags": listed(text()),
    "annotations": listed(text()),
    "described": by_name(text()),
    "test": or_null(text()),
    "testPlatforms": listed(text()),
    "preflight": truth(),
    "stripAttestations": truth(),
    "tagIntermediates": truth(),
    "keepIntermediates": truth(),
    "rebuild": truth(),
    "immutable": truth(),
    "allowDowngrade": truth(),
    "aliases": truth(),
    "zeroMajor": truth(),
    "readme": or_null(
        record({"file": text(), "short": or_null(text()), "images": listed(NAME), "digest": digest("the text's")})
    ),
}
RECORD = {
    "images": listed(NAME),
    "platform": text(),
    "descriptor": DESCRIPTOR,
    "tag": or_null(text()),
    "commit": or_null(text()),
}
RELEASES: tuple[Document, ...] = (
    document("publish", "A release that is up", "publish --format json, merge --format json", PUBLISH),
    document("plan", "What a publish will do", "plan --format json, publish --dry-run, merge --dry-run", PLAN),
    document(
        "saved-plan",
        "A plan, and what it is about; `publish --plan` reads it",
        "plan --out",
        {**PLAN, "request": record(REQUEST)},
    ),
    document(
        "several",
        "The documents of several `[publish.NAME]`, each under its name",
        "publish --format json, plan --format json, build --format json",
        {"publish": by_name({"type": "object"}, "`publish`, `plan` or `build`, as above")},
    ),
    document(
        "build",
        "Images that were built",
        "build --format json",
        {
            "pushed": truth(),
            "names": listed(PULLED),
            "platforms": listed(record({"schema": NUMBER, **RECORD})),
            "outputs": listed(text()),
        },
    ),
    document("record", "An image that was built for a platform; `merge` reads it", "build --digest-dir", RECORD),
)
