"""Methods of the public API, one file a domain."""
