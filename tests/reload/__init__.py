"""Another configuration for a server that goes on serving."""
