"""Recipes: settings of experiments, the question that each answers, and its figures."""
