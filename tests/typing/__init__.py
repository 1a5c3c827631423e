"""Tests of types, as type checkers see them."""
