"""Several processes that train one model, and what makes their number change nothing."""
