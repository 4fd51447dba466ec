"""What clients see of the server itself, on the second engine as on the first."""
