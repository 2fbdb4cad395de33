"""The command line: noun-verb commands, each about ten lines that call the house."""
