"""Resources of the gateway, one file a domain."""
