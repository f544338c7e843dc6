"""The replay-equivalence harness: histories, namespaces, consumers, readers."""
