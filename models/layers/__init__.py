"""The building blocks of the networks, one paper idea a file."""
