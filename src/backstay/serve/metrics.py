"""What the server counts, and what the last look at the traffic found, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from backstay.kernel.records import Condition, Release, WindowResult

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


SCOPE = ["model", "environment"]


class WatchGauges:
    """Newest windows as gauges, one a model: shown until there are newer ones; before the first there is nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"backstay_{name}", meaning, [*SCOPE, *labels], registry=registry)

        self._condition = gauge("condition", "1 for the condition that the model is in.", "condition")
        self._end = gauge("window_end_timestamp_seconds", "End of the newest window that was judged.")
        self._rows = gauge("window_rows", "Rows in it.")
        self._evidence = gauge("detector_evidence", "Evidence as a multiple of the threshold.", "detector")
        self._alarm = gauge("detector_alarm", "1 while the detector is over its threshold.", "detector")
        self._estimate = gauge("estimate", "Estimated quality and its interval.", "kind", "metric", "bound")
        self._age = gauge("label_age_seconds", "Age of the newest label when the window was judged.")
        self._watched = gauge("watched_seconds", "From when the release is watched to the end of the window.")
        self._spent = gauge("alarm_budget_spent", "Expected false alarms spent.")
        self._budget = gauge("alarm_budget", "Expected false alarms that the team accepts.")

    def show(self, *windows: WindowResult) -> None:
        """Take over the figures of these windows, each of another model or environment."""
        for gauge in (self._condition, self._evidence, self._alarm, self._estimate, self._age, self._watched):
            # What is not said of these windows, such as an estimate that is refused, must not linger.
            gauge.clear()
        for window in windows:
            self._show(window)

    def _show(self, window: WindowResult) -> None:
        scope = (window.model, window.environment)
        for condition in Condition:
            self._condition.labels(*scope, condition.value).set(condition is window.condition)
        self._end.labels(*scope).set(window.end.timestamp())
        self._rows.labels(*scope).set(window.rows)
        for signal in window.signals:
            self._evidence.labels(*scope, signal.detector).set(signal.evidence)
            self._alarm.labels(*scope, signal.detector).set(signal.alarm)
        for e in window.estimates:
            if e.value is None or e.interval is None:
                continue
            for bound, value in (("value", e.value), ("low", e.interval.low), ("high", e.interval.high)):
                self._estimate.labels(*scope, e.kind, e.metric, bound).set(value)
        if window.label_age_days is not None:
            self._age.labels(*scope).set(window.label_age_days * 86_400)
        if "days_watched" in window.figures:
            self._watched.labels(*scope).set(float(window.figures["days_watched"]) * 86_400)
        self._spent.labels(*scope).set(window.budget_spent)
        self._budget.labels(*scope).set(window.budget)


def watch_text(*windows: WindowResult) -> bytes:
    """The newest window of each model in the exposition format, for collectors that read files."""
    registry = CollectorRegistry()
    WatchGauges(registry).show(*windows)
    return generate_latest(registry)


class Metrics:
    """Counters of one server, in a registry of its own: nothing global, nothing sent anywhere."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("backstay_requests", "Requests by status code.", ["code"], registry=r)
        self.latency = Histogram("backstay_infer_seconds", "Time to answer.", buckets=LATENCY, registry=r)
        self.batch = Histogram("backstay_batch_rows", "Rows a run of the model.", buckets=ROWS, registry=r)
        self.predictions = Counter("backstay_predictions", "Rows answered and logged.", registry=r)
        self.unlogged = Counter("backstay_unlogged", "Rows answered without being logged.", registry=r)
        self.feedback = Counter("backstay_feedback", "Feedback entries taken in.", registry=r)
        self.swap_failures = Counter("backstay_swap_failures", "Releases that could not be loaded.", registry=r)
        self.pointer_failures = Counter("backstay_pointer_failures", "Failed looks at the pointer.", registry=r)
        self.watch = WatchGauges(r)
        self.release = Gauge("backstay_release", "Sequence of the live release.", ["model", "environment"], registry=r)

    def live(self, release: Release) -> None:
        self.release.labels(release.model, release.environment).set(release.sequence)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
