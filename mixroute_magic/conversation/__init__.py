"""What stands above a cell."""
