"""Where scans may be: folders are searched by names alone, no image is opened."""
