"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from backstay.kernel.records import Release

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


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
        self.release = Gauge("backstay_release", "Sequence of the live release.", ["model", "environment"], registry=r)

    def live(self, release: Release) -> None:
        self.release.labels(release.model, release.environment).set(release.sequence)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
