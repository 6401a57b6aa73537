"""Defines the metrics of certificates in the API process, for Prometheus.

No label says why one is missing, because a reason may quote a learner's name.
"""

from prometheus_client import Gauge

MISSING = Gauge(
    "progress_certificates_missing", "Completions older than ten minutes without the certificate that they are owed"
)
UNFOUNDED = Gauge("progress_certificates_unfounded", "Valid certificates without a completion")
