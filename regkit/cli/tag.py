"""`regkit tag ls|set|rm|explain`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.confirm import confirm
from regkit.cli.options import Format, ListFormat, globals_of
from regkit.cli.output import table, telling, write_documents, write_json, write_json_lines, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regkit.oci.reference import Reference
    from regkit.ops.tags import Removal
    from regkit.transport.session import Session

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


One = Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")]
Lists = Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")]


class Sort(StrEnum):
    """An order of tags."""

    semver = "semver"
    name = "name"


@app.command("ls")
def list_(
    ctx: typer.Context,
    repositories: Annotated[
        list[str], typer.Argument(metavar="REPOSITORY...", help="Of several, whole names; '-' reads from stdin.")
    ],
    sort: Annotated[
        Sort | None, typer.Option(envvar="REGKIT_SORT", help="Versions first, the highest on top; or by name.")
    ] = None,
    digest: Annotated[
        str | None, typer.Option(envvar="REGKIT_DIGEST", help="Only the tags that stand on this digest.")
    ] = None,
    dates: Annotated[
        bool, typer.Option("--dates", envvar="REGKIT_DATES", help="With each tag's date, as the vendor's API tells it.")
    ] = False,
    form: Lists = ListFormat.text,
) -> None:
    """List a repository's tags, a line each; in the registry's order without --sort."""
    from regkit.cli.names import read_names
    from regkit.oci.digest import Digest
    from regkit.oci.reference import Reference
    from regkit.ops.tags import list_tags

    names = [Reference.parse_name(text) for text in read_names(repositories)]
    wanted, order = Digest(digest) if digest else None, sort.value if sort else ""
    with globals_of(ctx).session() as session:
        found = [(each.name, list_tags(session, each, sort=order, digest=wanted)) for each in names]
        dated = _dates(session, names) if dates else {}
    if form is ListFormat.jsonl:
        write_json_lines(
            {"schema": 1, "name": name, "tag": tag} | ({"date": dated[name].get(tag)} if dates else {})
            for name, tags in found
            for tag in tags
        )
    elif form is ListFormat.json:
        write_documents(
            [
                {"schema": 1, "name": name, "tags": tags}
                | ({"dates": {tag: dated[name].get(tag) for tag in tags}} if dates else {})
                for name, tags in found
            ],
            form,
        )
    elif dates:
        several = len(found) > 1
        rows = [
            (f"{name}:{tag}" if several else tag, dated[name].get(tag, "-")) for name, tags in found for tag in tags
        ]
        write_lines(table(rows))
    else:
        write_lines(tag if len(found) == 1 else f"{name}:{tag}" for name, tags in found for tag in tags)


@app.command("set")
def set_(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="What is to be tagged: a tag or a digest.")],
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="The tags, in the order they are written.")],
    form: One = Format.text,
) -> None:
    """Put tags on what SRC names, in its repository, in the given order; each is read back."""
    from regkit.oci.reference import Reference
    from regkit.ops.tags import TagsSet, set_tags

    reference = Reference.parse(source)

    def tell(done: TagsSet) -> None:
        if form is Format.json:
            write_json({"schema": 1, "name": done.name, "digest": done.digest, "tags": list(done.tags)})
        else:
            write_lines([f"{done.name}@{done.digest}"])

    with telling(tell), globals_of(ctx).session() as session:
        digest = set_tags(session, reference, tags)
    tell(TagsSet(reference.name, digest, tuple(dict.fromkeys(tags))))


@app.command("rm")
def remove(
    ctx: typer.Context,
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="References with a tag; '-' reads from stdin.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print what would be removed, change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="REGKIT_YES", help="Don't ask.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            envvar="REGKIT_FORCE",
            help="Remove also a tag that alone protects an image that an index needs, as on distribution 2.x.",
        ),
    ] = False,
    form: One = Format.text,
) -> None:
    """Remove tags, and nothing else: what they stand on and every other tag on it stays."""
    from regkit.cli.names import read_names
    from regkit.oci.reference import Reference
    from regkit.ops.tags import plan_removal, remove_tags

    references = [Reference.parse(text) for text in read_names(refs)]

    def tell(removals: Sequence[Removal]) -> None:
        if form is Format.json:
            removed = [{"name": str(each.reference), "digest": each.digest} for each in removals]
            write_json({"schema": 1, "dryRun": dry_run, "removed": removed})
        elif dry_run:
            write_lines(map(_describe, removals))

    with telling(tell), globals_of(ctx).session() as session:
        removals = plan_removal(session, references)
        if not dry_run:
            if not yes:
                confirm(map(_describe, removals), "removing tags", "Remove them?", report=session.report)
            remove_tags(session, removals, force=force)
    tell(removals)


@app.command()
def explain(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME[:TAG]...", help="A repository, or one tag in it; '-' reads from stdin."),
    ],
    version: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Explain what a publish of this version, tag or branch would do instead."),
    ] = None,
    form: Lists = ListFormat.text,
) -> None:
    """Tell for each tag which rule made it, or holds it back; one that a rule would have elsewhere is `wrong`."""
    from regkit.cli.names import read_names
    from regkit.errors import UsageError
    from regkit.oci.reference import Reference
    from regkit.ops.explain import explain_tags
    from regkit.ops.versions import parse_release

    references = [Reference.parse(text) for text in read_names(names)]
    for reference in references:
        if reference.digest is not None:
            raise UsageError(f"{reference} names a digest, and the rules are for tags", hint="write NAME:TAG")
    release = parse_release(version) if version else None
    with globals_of(ctx).session() as session:
        found = [(each.name, explain_tags(session, each, release)) for each in references]
    if form is ListFormat.jsonl:
        write_json_lines({"schema": 1, "name": name, **each.to_json()} for name, tags in found for each in tags)
    elif form is ListFormat.json:
        documents = [{"schema": 1, "name": name, "tags": [each.to_json() for each in tags]} for name, tags in found]
        write_documents(documents, form)
    else:
        several = len(found) > 1
        rows = [
            (f"{name}:{each.tag}" if several else each.tag, each.verdict, each.reason)
            for name, tags in found
            for each in tags
        ]
        write_lines(table([("TAG", "", "WHY"), *rows]))


def _dates(session: Session, names: Iterable[Reference]) -> dict[str, dict[str, str]]:
    """Give each repository's dates by tag, in UTC."""
    from datetime import UTC

    from regkit.ops.vendor_tags import tag_dates

    return {
        each.name: {tag: f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for tag, at in tag_dates(session, each).items()}
        for each in dict.fromkeys(names)
    }


def _describe(removal: Removal) -> str:
    return f"remove {removal.reference} ({removal.digest or 'not there'})"
