"""One measured claim a file, against a peer on the same data, machine and run; each prints one JSON line."""
