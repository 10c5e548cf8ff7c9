"""Plans for people and for programs, on stdout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from regkit.cli.options import Format
from regkit.cli.output import shortened, write_json, write_lines

if TYPE_CHECKING:
    from regkit.oci.digest import Digest
    from regkit.ops.plan import Destination, Plan
    from regkit.ops.versions import TagDecision


def show_plan(plan: Plan, form: Format) -> None:
    """Write a plan to stdout."""
    if form is Format.json:
        write_json(plan.to_json())
    else:
        write_lines(map(shortened, _describe(plan)))


def _describe(plan: Plan) -> Iterator[str]:
    yield f"platforms  {', '.join(map(str, plan.platforms))}"
    yield f"build      {'yes' if plan.build else 'no'}: {plan.reason}"
    if plan.checks.test:
        yield f"test       {_describe_test(plan)}"
    for key, value in plan.annotations.items():
        yield f"annotate   {key}={value}"
    yield f"index      {plan.index or 'known when it is built'}"
    for there in plan.destinations:
        yield f"image      {there.image.name}"
        yield from _describe_destination(plan, there)
    for page in plan.pages:
        yield f"readme     {page.reason}"


def _describe_test(plan: Plan) -> str:
    if plan.reuse is not None:
        return "not run: nothing is built, and what is published stays as it is"
    return f"{plan.checks.test} (in the image of {', '.join(map(str, plan.checks.tested(plan.platforms)))})"


def _describe_destination(plan: Plan, there: Destination) -> Iterator[str]:
    if plan.build:
        yield "push       what is built, as far as it isn't there"
    for descriptor in there.pushes:
        what = descriptor.platform if descriptor.platform and not descriptor.platform.is_unknown else None
        kind = f"the image for {what}" if what else "the index" if descriptor.is_index else "an attestation"
        yield f"push       {descriptor.digest}: {kind}, which isn't there"
    for name in plan.intermediates.values():
        yield f"on the way {name}: it names an image until the release is tagged"
    for decision in there.tags:
        yield _describe_tag(plan, decision, there.standing.get(decision.tag))
    for name in plan.intermediates.values():
        if plan.keep_intermediates:
            yield f"keep       {name}: it keeps its image from garbage collection"
        else:
            yield f"delete     {name}: it was needed on the way only"


def _describe_tag(plan: Plan, decision: TagDecision, standing: Digest | None) -> str:
    if not decision.moves:
        return f"keep       {decision.tag}: {decision.reason}" + (f" (stands on {standing})" if standing else "")
    if standing is None:
        return f"tag        {decision.tag}: {decision.reason}"
    if standing == plan.index:
        return f"keep       {decision.tag}: it stands there already"
    if plan.index is None and decision.tag in plan.exact:
        return f"tag        {decision.tag}: {decision.reason} (refused, unless what is built is {standing})"
    return f"tag        {decision.tag}: {decision.reason} (from {standing} to {plan.index or 'what is built'})"
