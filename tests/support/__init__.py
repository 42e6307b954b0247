"""What tests and benchmarks share: the local museum in a thread, made-up records without end, faults of servers."""
