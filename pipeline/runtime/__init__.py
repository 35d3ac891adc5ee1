"""What all stages share at run time: command line, signals, processes, progress, devices."""
