"""Defines the metrics of certificates in the API process, for Prometheus.

No label says why one is missing, because a reason may quote a learner's name.
"""

from prometheus_client import Gauge

MISSING = Gauge(
    "progress_certificates_missing", "Completions older than ten minutes without the certificate that they are owed"
)
LIST_AGE = Gauge(
    "progress_status_list_age_seconds", "Age of the oldest signature of a status list; verifiers refuse one of 48 hours"
)
UNFOUNDED = Gauge("progress_certificates_unfounded", "Valid certificates without a completion")
