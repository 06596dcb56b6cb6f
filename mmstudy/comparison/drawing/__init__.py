"""Pictures of many models side by side."""
