"""Pictures of results, and how symbols are shown in them."""
