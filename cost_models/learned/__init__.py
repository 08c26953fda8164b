"""Learned cost models: residuals over the analytical model, with intervals, and the hybrid of both."""
