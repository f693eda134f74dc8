"""The conversation of a notebook: its turns, where they are kept, and how they are written down."""
