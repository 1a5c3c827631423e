"""The gateway's resources: one file a domain."""
