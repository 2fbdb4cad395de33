"""Doubles and servers that the tests share."""
