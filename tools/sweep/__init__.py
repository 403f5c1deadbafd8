"""Sweeps: grids of DVC experiments, run on one machine or on a cluster, and judged together."""
