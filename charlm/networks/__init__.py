"""What training networks needs: torch, which nothing else of the library imports."""
