"""Where tasks run, what they may use, and what a crash costs."""
