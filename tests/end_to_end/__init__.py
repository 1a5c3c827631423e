"""Tests of whole calls, clients and programs."""
