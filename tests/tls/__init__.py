"""The listener with TLS of its own."""
