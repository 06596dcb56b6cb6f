"""What a study records about its files: receipts, the lock of writers, verification, removal."""
