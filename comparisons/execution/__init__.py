"""Runs and studies as processes do them."""
