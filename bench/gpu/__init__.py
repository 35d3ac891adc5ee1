"""What a GPU computes, how fast it is, and what makes it faster: `python -m bench.gpu`."""
