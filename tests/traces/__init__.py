"""Tests of traces: W3C context, and spans for a real collector."""
