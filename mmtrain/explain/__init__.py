"""What of its inputs a trained model used: attributions of single samples, means over people, rankings."""
