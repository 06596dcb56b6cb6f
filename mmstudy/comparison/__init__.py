"""The models of many cells side by side: their scores, what is best, what differs, and how sure that is."""
