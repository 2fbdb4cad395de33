"""Strop."""
