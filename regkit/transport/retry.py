"""The one loop that sends again, and the only home of tenacity."""

from __future__ import annotations

import random
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from tenacity import RetryCallState, Retrying, stop_after_attempt

from regkit.events import Reporter, RetryScheduled
from regkit.protocol.flow import Request, Response
from regkit.protocol.retry import TRIES, Outcome, delay, retry_after, wants_retry


def send_again(
    host: str,
    request: Request,
    first: Outcome,
    attempt: Callable[[Request], Outcome],
    *,
    report: Reporter,
    sleep: Callable[[float], None],
    now: Callable[[], float],
) -> Outcome:
    """Go on after a `first` outcome that wants it, until one is final: good, hopeless, or the last try's.

    Each wait is reported, with the `host` (`name[:port]`) that a relative URL belongs to.
    """
    pending = [first]

    def outcome(state: RetryCallState) -> Outcome:
        assert state.outcome is not None
        result: Outcome = state.outcome.result()
        return result

    def asked(state: RetryCallState) -> float | None:
        last = outcome(state)
        value = last.headers.get("retry-after") if isinstance(last, Response) else None
        return delay(state.attempt_number, retry_after(value, now()), random.random())  # noqa: S311 - no secret

    def announce(state: RetryCallState) -> None:
        last = outcome(state)
        reason = f"answered {last.status}" if isinstance(last, Response) else last.message
        asked_for = urlsplit(urljoin(f"//{host}", request.url))  # its query is the registry's own, and may be secret
        name = f"{request.method} {asked_for.netloc}{asked_for.path}"
        report(
            RetryScheduled(name, reason, state.attempt_number + 1, state.next_action.sleep if state.next_action else 0)
        )

    loop = Retrying(
        retry=lambda state: wants_retry(request, outcome(state)),
        stop=lambda state: stop_after_attempt(TRIES)(state) or asked(state) is None,
        wait=lambda state: asked(state) or 0.0,
        before_sleep=announce,
        sleep=sleep,
        retry_error_callback=outcome,
    )
    final: Outcome = loop(lambda: pending.pop() if pending else attempt(request))
    return final
