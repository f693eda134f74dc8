"""What a cell sends."""
