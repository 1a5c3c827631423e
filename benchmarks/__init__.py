"""What a request costs, here and in other clients: `make bench` measures it all."""
