"""Tests of one attempt over the network."""
