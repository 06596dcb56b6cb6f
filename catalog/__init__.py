"""What a study knows about its participants: samples, scans, features, splits and runs, in one DuckDB file."""
