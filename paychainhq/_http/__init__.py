"""One attempt over the network."""
