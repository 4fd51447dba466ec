"""The application: one method a command."""
