"""Talk to language models from a notebook: ``%load_ext mixroute_magic``, then ``%%chat``."""

__version__ = "0.1.0"
