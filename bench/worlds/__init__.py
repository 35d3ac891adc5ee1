"""Many small worlds of the sample, whose truth is known: what the scores of a run are worth."""
