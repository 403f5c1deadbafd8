"""What every stage imports: errors, running a stage, reading and writing files, pinned versions."""
