"""What a model gives away: whether a person was trained on, as far as its stored predictions tell."""
