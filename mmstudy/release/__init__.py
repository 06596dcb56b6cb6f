"""What must not be published: found in folders, repositories and what mm writes, before it leaves."""
