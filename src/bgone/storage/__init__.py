"""What outlives a request: results in an object store."""
