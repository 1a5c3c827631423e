"""Foundation of the package: no event loop, no network."""
