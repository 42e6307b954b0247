"""What fails is told to a local receiver: to hosts on the allow-list alone, without a secret, and once."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest

from assets.automation import REFRESH
from assets.engine.webhook import WebhookError, message, tell
from assets.sensors import after_dataset, after_harvest, check_failure, run_failure
from pipeline.allow_list import ALLOWED_HOSTS, NotAllowed

KEY = "cAnary+kEy/42="


class Receiver(HTTPServer):
    """Keeps what it was sent; answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, Any]] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/tOken123456"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("EUFCC_WEBHOOK", server.address)
        monkeypatch.setenv(ALLOWED_HOSTS, f"127.0.0.1:{server.server_port}")
        monkeypatch.setenv("EUROPEANA_API_KEY", KEY)
        yield server
        server.shutdown()


@dg.asset
def fragile() -> None:
    raise dg.Failure(f"The server said: wrong key {KEY}, asked from /hooks/tOken123456.", allow_retries=False)


@dg.asset_check(asset="fragile", blocking=True)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def sound() -> None: ...


@dg.asset_check(asset="sound", description="Few images.")
def is_large() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, description=f"Only 3 images, says {KEY}."
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def context_of(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult, sensor: str) -> Any:
    kind = dg.DagsterEventType.RUN_SUCCESS if result.success else dg.DagsterEventType.RUN_FAILURE
    [event] = [event for event in result.all_events if event.event_type is kind]
    return dg.build_run_status_sensor_context(sensor, event, instance, result.dagster_run)


def test_a_failed_run_is_told_in_sentences(receiver: Receiver, instance: dg.DagsterInstance):
    result = dg.materialize([fragile, holds], instance=instance, raise_on_error=False)
    assert not result.success
    run_failure(context_of(instance, result, "run_failure_to_webhook").for_run_failure())
    [told] = receiver.received
    assert told["kind"] == "run_failure"
    assert told["run_id"] == result.run_id
    assert told["problems"] == ["fragile: The server said: wrong key REDACTED, asked from REDACTED."]
    assert KEY not in json.dumps(told)


def test_a_warning_is_told_although_the_run_ended_well(receiver: Receiver, instance: dg.DagsterInstance):
    result = dg.materialize([sound, is_large], instance=instance, raise_on_error=False)
    assert result.success
    assert check_failure(context_of(instance, result, "check_failure_to_webhook")) is None
    [told] = receiver.received
    assert told["kind"] == "check_failure"
    assert told["problems"] == ["is_large on sound: Only 3 images, says REDACTED."]


def test_nothing_is_told_of_a_run_without_failures(receiver: Receiver, instance: dg.DagsterInstance):
    result = dg.materialize([sound], instance=instance, raise_on_error=False)
    skipped = check_failure(context_of(instance, result, "check_failure_to_webhook"))
    assert isinstance(skipped, dg.SkipReason)
    assert receiver.received == []


def test_without_an_address_nothing_is_sent():
    assert tell({"text": "x"}, {}) is False


def test_a_host_that_is_not_allowed_is_not_called(receiver: Receiver):
    with pytest.raises(NotAllowed, match="not on the allow-list"):
        tell({"text": "x"}, {"EUFCC_WEBHOOK": receiver.address})
    assert receiver.received == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_answer_that_is_no_success_is_an_error_without_the_address(receiver: Receiver, status: int):
    receiver.status = status
    with pytest.raises(WebhookError, match=f"HTTP {status}") as error:
        tell({"text": "x"})
    assert "tOken123456" not in str(error.value)


def test_a_receiver_that_is_not_there_is_an_error_without_the_address():
    environ = {"EUFCC_WEBHOOK": "http://127.0.0.1:9/tOken123456", ALLOWED_HOSTS: "127.0.0.1"}
    with pytest.raises(WebhookError, match="was not reached") as error:
        tell({"text": "x"}, environ)
    assert "tOken123456" not in str(error.value)


def test_every_spelling_of_every_secret_is_taken_out():
    environ = {
        "AWS_SECRET_ACCESS_KEY": "s3cr3t/w0rd",
        "POSTGRES_PASSWORD": "pa55w0rd",
        "EUFCC_WEBHOOK": "https://h/t0k3n",
    }
    told = message("run_failure", "dataset", "r", ["s3cr3t/w0rd s3cr3t%2Fw0rd pa55w0rd https://h/t0k3n"], environ)
    assert told["problems"] == ["REDACTED REDACTED REDACTED REDACTED"]


def test_long_stories_are_cut():
    told = message("run_failure", "dataset", "r", ["x" * 5_000] * 100, {})
    assert len(json.dumps(told)) < 50_000


@pytest.mark.parametrize(("sensor", "partitioned"), [(after_harvest, True), (after_dataset, False)])
def test_a_refresh_goes_on_and_a_run_by_hand_does_not(sensor: Any, partitioned: bool, instance: dg.DagsterInstance):
    for tags, goes_on in (({REFRESH: "weekly"}, True), ({}, False)):
        result = dg.materialize([sound], instance=instance, tags=tags)
        [asked] = list(sensor(context_of(instance, result, sensor.name)))
        assert isinstance(asked, dg.RunRequest) is goes_on
        if goes_on:
            assert asked.tags[REFRESH] == "weekly"
            assert ("dagster/asset_partition_range_start" in asked.tags) is partitioned
            assert (asked.run_config != {}) is not partitioned
