"""Stores to models to metrics: the trainer of mm. It reads cohorts and stores, never a database or an image."""
