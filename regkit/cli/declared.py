"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def read_commit(text: str) -> str:
    """Take a commit, or nothing where a CI's variable is empty; raise UsageError for what can't be one."""
    if text:
        from regkit.ops.source import short_commit

        short_commit(text)
    return text


Images = Annotated[
    list[str] | None,
    typer.Option(
        envvar="REGKIT_IMAGE",
        metavar="NAME",
        help="The repository to publish to; repeatable: the same goes to all.",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        envvar=["REGKIT_PLATFORM", "DOCKER_PLATFORMS"],
        metavar="LIST",
        help="os/arch[/variant], comma-separated or repeated; the builder's own by default.",
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        envvar="REGKIT_VERSION",
        metavar="REF",
        help="v1.2.3, 1.2.3, refs/tags/v1.2.3 or a branch; by default what CI or git say.",
    ),
]
Commit = Annotated[
    str | None,
    typer.Option(parser=read_commit, envvar="REGKIT_COMMIT", metavar="SHA", help="By default what CI or git say."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("-t", "--tag", envvar="REGKIT_TAG", help="Instead of the version's tags, in this order."),
]
File = Annotated[Path | None, typer.Option(envvar="REGKIT_FILE", help="The Dockerfile.")]
Stage = Annotated[str, typer.Option(envvar="REGKIT_TARGET", help="The stage to build.")]
BuildArgs = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY[=VALUE]", help="Repeatable; REGKIT_BUILD_ARG holds one a line."),
]
Annotations = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[LEVEL[PLATFORM]:]KEY=VALUE",
        help="At index (default), index-descriptor, manifest or manifest-descriptor; repeatable; REGKIT_ANNOTATION "
        "holds one a line.",
    ),
]
Immutable = Annotated[
    bool,
    typer.Option(
        "--immutable/--no-immutable",
        envvar="REGKIT_IMMUTABLE",
        help="Refuse, or replace, an exact version with other content.",
    ),
]
AllowDowngrade = Annotated[
    bool,
    typer.Option("--allow-downgrade", envvar="REGKIT_ALLOW_DOWNGRADE", help="Move aliases to a lower version, too."),
]
NoAliases = Annotated[
    bool, typer.Option("--no-aliases", envvar="REGKIT_NO_ALIASES", help="Write the version's own tag only.")
]
ZeroMajor = Annotated[
    bool, typer.Option("--zero-major", envvar="REGKIT_ZERO_MAJOR", help="Tag `0` for a version 0.y.z, too.")
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        metavar="id=NAME[,src=FILE|,env=VARIABLE]",
        help="What a RUN may read; repeatable; REGKIT_SECRET holds one a line.",
    ),
]
CacheFrom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="type=registry,ref=NAME",
        help="A cache that is read; repeatable; REGKIT_CACHE_FROM holds one a line.",
    ),
]
CacheTo = Annotated[
    list[str] | None,
    typer.Option(
        metavar="type=registry,ref=NAME[,mode=max]",
        help="A cache that is written; repeatable; REGKIT_CACHE_TO holds one a line.",
    ),
]
Attestations = Annotated[
    list[str] | None,
    typer.Option(
        metavar="type=provenance[,mode=max]|type=sbom",
        help="What BuildKit attests of each image; repeatable; REGKIT_ATTEST holds one a line.",
    ),
]
Builders = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN=ADDR[,tls-dir=DIR]",
        help="Where BuildKit builds which platforms (linux/arm64, linux/*, *), instead of [builders]; repeatable; "
        "REGKIT_BUILDER holds one a line.",
    ),
]
MetadataFile = Annotated[
    Path | None, typer.Option(envvar="REGKIT_METADATA_FILE", help="Write the result there, with buildx's keys.")
]
ImageRefs = Annotated[
    Path | None, typer.Option(envvar="REGKIT_IMAGE_REFS", help="Write the names to pull by there, one a line.")
]
DigestFile = Annotated[Path | None, typer.Option(envvar="REGKIT_DIGEST_FILE", help="Write the index's digest there.")]
Dotenv = Annotated[
    Path | None, typer.Option(envvar="REGKIT_DOTENV", help="Write variables there, as GitLab's dotenv report.")
]
