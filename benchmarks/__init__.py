"""Side-by-side timings: plain loops as the notebooks write them, against this project."""
