"""`regkit cleanup plan|apply`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regkit.cli.confirm import confirm
from regkit.cli.declared import read_as
from regkit.cli.options import PENDING, Format, ListFormat, globals_of
from regkit.cli.output import table, write_json, write_json_lines, write_lines

if TYPE_CHECKING:
    from regkit.config.spec import CleanupConfig, Config
    from regkit.oci.reference import Reference
    from regkit.ops.cleaning import Cleaning
    from regkit.ops.cleanup import Cleaned
    from regkit.ops.cleanup_plan import CleanupPlan
    from regkit.transport.session import Session

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)

Images = Annotated[
    list[str] | None,
    typer.Argument(metavar="[REPOSITORY...]", help="Instead of those in the configuration; '-' reads from stdin."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", envvar="REGKIT_CLEANUP_NAME", metavar="NAME", help="Only this [cleanup.NAME]; repeatable."),
]
Match = Annotated[
    str | None,
    typer.Option(envvar="REGKIT_MATCH", metavar="RE", help="Only tags that this expression matches as a whole."),
]
Keep = Annotated[
    int | None, typer.Option(min=0, envvar="REGKIT_KEEP", metavar="N", help="Keep so many of the newest images.")
]
KeepSemver = Annotated[
    int | None,
    typer.Option(min=0, envvar="REGKIT_KEEP_SEMVER", metavar="N", help="Keep so many of the highest versions."),
]
OlderThan = Annotated[
    str | None,
    typer.Option(envvar="REGKIT_OLDER_THAN", metavar="AGE", help="Remove only what is older, as 30d (m, h, d, w)."),
]
Untagged = Annotated[
    bool,
    typer.Option("--untagged", envvar="REGKIT_UNTAGGED", help="Delete what the tags leave behind without a name, too."),
]
Form = Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")]


@app.command()
def plan(
    ctx: typer.Context,
    repositories: Images = None,
    name: Names = None,
    match: Match = None,
    keep: Keep = None,
    keep_semver: KeepSemver = None,
    older_than: OlderThan = None,
    untagged: Untagged = False,
    out: Annotated[
        Path | None,
        typer.Option(
            envvar="REGKIT_CLEANUP_OUT", metavar="FILE", help="Write the plan there, for `apply --plan FILE`."
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", envvar="REGKIT_DETAILED_EXITCODE", help="End with 3 if it would remove anything."
        ),
    ] = False,
    form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text,
) -> None:
    """Show what `apply` with the same options would remove and what it keeps, with a reason a line."""
    from regkit.cli.reports import Reports, write_file

    Reports(metadata=out).check()
    work = _work(ctx, repositories, name, match, keep, keep_semver, older_than, untagged=untagged)
    with globals_of(ctx).session() as session:
        plans = [made for _, made in _plan_all(session, work)]
    document = _document(plans)
    if out is not None:
        write_file(out, json.dumps(document, indent=2) + "\n")
    if form is ListFormat.jsonl:
        write_json_lines(_decisions(document))
    elif form is ListFormat.json:
        write_json(document)
    else:
        write_lines(_describe(plans))
    if detailed_exitcode and any(each.pending for each in plans):
        raise typer.Exit(PENDING)


@app.command()
def apply(
    ctx: typer.Context,
    repositories: Images = None,
    name: Names = None,
    match: Match = None,
    keep: Keep = None,
    keep_semver: KeepSemver = None,
    older_than: OlderThan = None,
    untagged: Untagged = False,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--plan", envvar="REGKIT_CLEANUP_PLAN", metavar="FILE", help="Do what this plan says, where it still holds."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="REGKIT_YES", help="Don't ask.")] = False,
    form: Form = Format.text,
) -> None:
    """Remove tags, and with --untagged what they leave behind; afterwards all that stays is asked for."""
    from regkit.errors import Interrupted, RegkitError, UsageError
    from regkit.ops.cleanup import cleanup
    from regkit.ops.tags import raise_failures

    given = repositories or name or match or older_than or untagged or keep is not None or keep_semver is not None
    if saved is not None and given:
        raise UsageError("--plan says what to do by itself", hint="leave out repositories and rules")
    with globals_of(ctx).session() as session:
        if saved is not None:
            from regkit.ops.cleaning import Cleaning
            from regkit.ops.cleanup_plan import read_saved

            planned = []
            for each in read_saved(saved):
                cleaning = Cleaning(session, each.image)
                planned.append((cleaning, cleaning.replan(each)))
        else:
            work = _work(ctx, repositories, name, match, keep, keep_semver, older_than, untagged=untagged)
            planned = list(_plan_all(session, work))
            plans = [made for _, made in planned]
            if not yes and any(each.pending for each in plans):
                hint = "add --yes, or --plan FILE"
                confirm(_describe(plans), "cleaning", "Remove them?", report=session.report, hint=hint)
        done, failed = [], dict[str, RegkitError]()
        for cleaning, made in planned:
            try:
                done.append(cleanup(cleaning, made))
            except Interrupted:
                raise
            except RegkitError as error:
                failed[made.image.name] = error
    if form is Format.json:
        write_json({"schema": 1, "images": [each.to_json() for each in done]})
    else:
        lines = [line for each in done for line in each.lines()]
        write_lines(lines or _idle(done))
    failed |= {f"{each.image.name}:{which}": error for each in done for which, error in each.failed.items()}
    raise_failures(sum(len(each.removed) + len(each.deleted) for each in done), failed)


def _idle(done: list[Cleaned]) -> Iterator[str]:
    """Say that there was nothing to do, where all that was looked at stays, and nothing went wrong."""
    if done and not any(each.failed for each in done):
        yield f"nothing to remove in {done[0].image.name if len(done) == 1 else f'{len(done)} repositories'}"


def _decisions(document: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """Give each decision of a plan as a document of its own."""
    for image in document["images"]:
        for action in ("remove", "keep", "delete", "spare"):
            yield from ({"schema": 1, "image": image["image"], "action": action, **each} for each in image[action])


def _work(
    ctx: typer.Context,
    repositories: list[str] | None,
    names: list[str] | None,
    match: str | None,
    keep: int | None,
    keep_semver: int | None,
    older_than: str | None,
    *,
    untagged: bool,
) -> dict[Reference, list[CleanupConfig]]:
    """Give the repositories, each with its policies: those of the command line, else of the configuration."""
    from regkit.cli.names import read_names
    from regkit.config import kinds
    from regkit.config.spec import CleanupConfig
    from regkit.errors import UsageError
    from regkit.oci.reference import Reference
    from regkit.ops.cleaning import images_of

    images = [Reference.parse_name(text) for text in read_names(repositories)] if repositories else []
    rules = keep is not None or keep_semver is not None or older_than is not None or untagged
    if not rules and match is not None:
        raise UsageError(
            "--match alone says nothing of what is kept",
            hint="add --keep, --keep-semver or --older-than; --keep 0 is all",
        )
    if rules and names:
        raise UsageError("--name picks rules of the configuration", hint="leave it out, or the rules given beside it")
    if rules and not images:
        raise UsageError("no repository is named", hint="name one: regkit cleanup plan REPOSITORY --keep 5")
    if rules:
        age = None if older_than is None else read_as("--older-than", kinds.age, older_than)
        expression = None if match is None else read_as("--match", kinds.expression, match)
        policy = CleanupConfig("the command line", (), expression, keep, keep_semver, age, untagged)
        return {image: [policy] for image in dict.fromkeys(images)}
    chosen = _configured(globals_of(ctx).config(), names or [])
    if images:
        return {image: list(chosen) for image in dict.fromkeys(images)}
    work = images_of(chosen)
    if not work:
        raise UsageError("no repository is named", hint="name one, or write image = … in [cleanup.NAME]")
    return work


def _configured(config: Config, names: list[str]) -> list[CleanupConfig]:
    from regkit.errors import UsageError

    known = [policy.name for policy in config.cleanups]
    if not known:
        raise UsageError(
            "there are no rules: neither on the command line nor in a configuration",
            hint="give --keep, --keep-semver, --older-than or --untagged; or write [cleanup.NAME] in regkit.toml",
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"{config.path} has no [cleanup.{unknown[0]}]", hint=f"it has {', '.join(known)}")
    return [policy for policy in config.cleanups if not names or policy.name in names]


def _plan_all(session: Session, work: dict[Reference, list[CleanupConfig]]) -> Iterator[tuple[Cleaning, CleanupPlan]]:
    from datetime import UTC, datetime

    from regkit.ops.cleaning import Cleaning

    now = datetime.now(UTC)
    for image, policies in work.items():
        cleaning = Cleaning(session, image)
        yield cleaning, cleaning.plan(policies, now)


def _document(plans: list[CleanupPlan]) -> dict[str, Any]:
    from regkit.ops.cleanup_plan import plans_document

    return plans_document(tuple(plans))


def _describe(plans: list[CleanupPlan]) -> list[str]:
    rows = []
    for each in plans:
        rows += [f"{each.image.name}: {each.summary}"]
        rows += table([*each.lines()])
    return rows
