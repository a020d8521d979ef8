"""Files of the fluid 1.x library."""
