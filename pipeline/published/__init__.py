"""The published EUFCC-340K files: CSVs, label trees, and tables made of them."""
