"""A real server process: killed, swapped under, robbed of its store, filled up, stopped."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time

import pytest

from backstay.journal.reader import Journal


class Load(threading.Thread):
    """Asks one row after another on a connection of its own; remembers what was acknowledged and what was not."""

    def __init__(self, server, ask, name: str) -> None:
        super().__init__(daemon=True)
        self._server, self._ask, self._stem = server, ask, name
        self._ended = threading.Event()
        self.acknowledged: list[str] = []
        self.versions: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        connection = self._server.connect()
        headers = {"Authorization": f"Bearer {self._server.token}"}
        number = 0
        while not self._ended.is_set():
            body = json.dumps(self._ask(float(number % 5), prediction_ids=[f"{self._stem}-{number}"]))
            try:
                connection.request("POST", "/v2/models/risk/infer", body, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(repr(error))
                break
            if response.status == 200 and answer["parameters"]["logged"]:
                self.acknowledged += answer["parameters"]["prediction_ids"]
                self.versions.append(answer["model_version"])
            else:
                self.failures.append(f"{response.status}: {answer}")
            number += 1
        connection.close()

    def finish(self) -> None:
        self._ended.set()
        self.join(30)


def loads(server, ask, stem: str, count: int = 4) -> list[Load]:
    made = [Load(server, ask, f"{stem}-{i}") for i in range(count)]
    for one in made:
        one.start()
    return made


def kill_under_load(place, ask, times: int) -> list[float]:
    """Kill and start again; answers how long each start took. Nothing that was acknowledged may be missing."""
    acknowledged: set[str] = set()
    starts = []
    for number in range(times):
        began = time.monotonic()
        server = place.start()
        assert server.call("GET", "/v2/health/ready")[0] == 200
        starts.append(time.monotonic() - began)
        running = loads(server, ask, f"k{number}")
        while sum(len(one.acknowledged) for one in running) < 20:
            time.sleep(0.005)
        time.sleep(0.01 * (number % 7))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for one in running:
            one.finish()
            acknowledged |= set(one.acknowledged)
        kept = set(Journal(place.folder / "journal").ids("risk", "production"))
        assert acknowledged <= kept
    rows = Journal(place.folder / "journal").rows("risk", "production")
    assert acknowledged <= {str(i) for i in rows.ids}
    assert rows.duplicates == 0
    return starts


def test_no_acknowledged_prediction_is_lost_by_a_kill(place, ask):
    kill_under_load(place, ask, 3)


@pytest.mark.slow
def test_fifty_kills(place, ask):
    starts = kill_under_load(place, ask, 50)
    assert max(starts) < 5.0


def test_models_are_swapped_without_a_failed_request(place, ask):
    server = place.start()
    running = loads(server, ask, "swap")
    other = place.bundle(-1.0)
    place.point(other)
    wait_for(lambda: server.call("GET", "/v2/models/risk")[1]["versions"] == ["1", "2"])
    first = place.bundle(1.0)
    place.point(first)
    wait_for(lambda: server.call("GET", "/v2/models/risk")[1]["versions"] == ["2", "3"])
    wait_for(lambda: all("3" in one.versions for one in running))
    for one in running:
        one.finish()
        assert one.failures == []
        assert one.versions == sorted(one.versions)
    rows = Journal(place.folder / "journal").rows("risk", "production")
    said = dict(zip((str(i) for i in rows.ids), rows.releases.tolist(), strict=True))
    for one in running:
        assert [said[i] for i in one.acknowledged] == [f"release-{v}" for v in one.versions]
    # The model before stays warm and answers by its version; the one before that is gone.
    body = ask(3.0)
    label = {v: server.call("POST", f"/v2/models/risk/versions/{v}/infer", body) for v in ("1", "2", "3")}
    assert label["1"][0] == 404
    assert label["2"][1]["outputs"] != label["3"][1]["outputs"]


def test_it_goes_on_when_the_store_fails_and_when_a_bundle_does(place, ask):
    server = place.start()
    good = json.loads((place.folder / "pointer.json").read_text())["release"]["model_id"]
    place.point(good, broken="the database is down")
    wait_for(lambda: "database is down" in server.call("GET", "/v2/health/ready")[1].get("trouble", ""))
    assert server.infer(ask(1.0))[1]["model_version"] == "1"

    spoilt = place.bundle(5.0)
    model = place.folder / "bundles" / spoilt / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b"?")
    place.point(spoilt)
    wait_for(lambda: "could not be loaded" in server.call("GET", "/v2/health/ready")[1].get("trouble", ""))
    time.sleep(0.5)
    assert "could not be loaded" in server.call("GET", "/v2/health/ready")[1]["trouble"]
    assert server.infer(ask(1.0))[1]["model_version"] == "1"
    text = server.call("GET", "/metrics")[1]
    assert b"backstay_swap_failures_total 1.0" in text
    assert b"backstay_pointer_failures_total 0.0" not in text

    place.point(good)
    wait_for(lambda: server.infer(ask(1.0))[1]["model_version"] == "3")
    assert "trouble" not in server.call("GET", "/v2/health/ready")[1]


def test_a_revoked_key_is_refused_soon(place, ask):
    server = place.start()
    assert server.infer(ask(1.0))[0] == 200
    place.keys(("predict",))
    wait_for(lambda: server.infer(ask(1.0))[0] == 401)


def test_a_full_disk_refuses_or_marks(place, ask):
    server = place.start(minimum_free_bytes=2**60)
    status, answer = server.infer(ask(1.0, prediction_ids=["never"]))
    assert (status, list(answer)) == (507, ["error"])
    assert "bytes are free" in answer["error"]
    assert server.call("POST", "/v2/models/risk/feedback", {"id": "a", "value": "yes"})[0] == 507
    server.process.terminate()
    assert server.process.wait(10) == 0

    server = place.start(minimum_free_bytes=2**60, on_log_failure="answer_unlogged")
    status, answer = server.infer(ask(1.0))
    assert (status, answer["parameters"]["logged"]) == (200, False)
    assert b"backstay_unlogged_total 1.0" in server.call("GET", "/metrics")[1]
    assert len(Journal(place.folder / "journal").rows("risk", "production")) == 0


def test_a_probe_is_answered_and_not_logged(place, ask):
    server = place.start()
    assert server.infer(ask(1.0, probe=True))[1]["parameters"]["logged"] is False
    assert len(Journal(place.folder / "journal").rows("risk", "production")) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_asked(place, ask, number):
    server = place.start()
    running = loads(server, ask, "stop")
    while sum(len(one.acknowledged) for one in running) < 20:
        time.sleep(0.005)
    server.process.send_signal(number)
    assert server.process.wait(15) == 0
    for one in running:
        one.finish()
        assert not any(f.startswith("5") for f in one.failures)
    kept = set(Journal(place.folder / "journal").ids("risk", "production"))
    assert {i for one in running for i in one.acknowledged} <= kept


def test_without_a_key_on_loopback_only_loopback_names_are_answered(place, ask):
    server = place.start(require_key=False)
    assert server.infer(ask(1.0), token="")[0] == 200
    assert server.infer(ask(1.0), token="", headers={"Host": ":80"})[0] == 403
    status, answer = server.infer(ask(1.0), token="", headers={"Host": "evil.example"})
    assert (status, list(answer)) == (403, ["error"])


def test_what_is_logged_of_inputs_is_policy(place, ask):
    from backstay.bundle.manifest import Manifest
    from backstay.journal.answers import entries_of
    from backstay.journal.entries import Predictions
    from backstay.journal.layout import Layout

    model_id = json.loads((place.folder / "pointer.json").read_text())["release"]["model_id"]
    manifests = {"release-1": Manifest.read(place.folder / "bundles" / model_id / "manifest.json")}
    server = place.start(log_inputs="hashed")
    server.infer(ask(1.0, 2.0, 1.0, prediction_ids=["a", "b", "c"], context={"office": ["x", "y", "z"]}))
    journal = Journal(place.folder / "journal")
    assert journal.rows("risk", "production", manifests=manifests).inputs is None
    (entry,) = [e for e in entries_of(Layout(journal.directory).segments("p")) if isinstance(e, Predictions)]
    assert entry.hashes[0] == entry.hashes[2] != entry.hashes[1]
    assert entry.inputs == entry.context == {}


def wait_for(what) -> None:
    """Until this holds; the suite's own limit ends it if it never does."""
    for _ in range(2000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")
