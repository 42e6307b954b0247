"""Failure messages to the webhook in EUFCC_WEBHOOK: only to hosts on the allow-list, and without secrets."""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pipeline.allow_list import check_allowed
from pipeline.redaction import redact

WEBHOOK = "EUFCC_WEBHOOK"
SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
MOST_SENTENCES = 20
LONGEST_SENTENCE = 1_000
TIMEOUT_S = 10


class WebhookError(RuntimeError):
    """The message was not delivered. The reason names only the host, because the address may contain a token."""


def message(kind: str, job: str, run_id: str, sentences: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """The message as JSON; chat programs show `text`. The values of secret variables are removed."""
    secrets = [value for name, value in environ.items() if value and any(word in name for word in SECRET_NAMES)]
    address = environ.get(WEBHOOK, "")
    secrets += [part for part in (address, urlsplit(address).path) if len(part) > 1]
    said = [redact(sentence, secrets)[:LONGEST_SENTENCE] for sentence in sentences[:MOST_SENTENCES]]
    title = {"run_failure": f"The run of {job} failed.", "check_failure": f"Checks failed in the run of {job}."}[kind]
    return {"kind": kind, "job": job, "run_id": run_id, "text": "\n".join([title, *said]), "problems": said}


def tell(content: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> bool:
    """Send the message; returns False when EUFCC_WEBHOOK is not set. Raises NotAllowed, WebhookError."""
    from pipeline.single_requests import NoAnswer, post_json

    address = environ.get(WEBHOOK)
    if not address:
        return False
    host = urlsplit(check_allowed(address, environ)).netloc
    try:
        status = post_json(address, content, TIMEOUT_S)
    except NoAnswer as error:
        raise WebhookError(f"The webhook at {host} was not reached ({error.kind}).") from None
    if not 200 <= status < 300:
        raise WebhookError(f"The webhook at {host} answered with HTTP {status}.")
    return True
