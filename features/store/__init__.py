"""The store: the challenge's files, checked, as arrays with histories of any length."""
