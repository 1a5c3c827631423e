"""The methods that users call, one file a domain."""
