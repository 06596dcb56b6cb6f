"""What finished runs came to: read from their directories, chosen and sorted, compared, written as a table."""
