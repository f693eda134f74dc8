"""A thread as a file: a handout to read, a notebook to open and run again, JSON; and turns read back from the last two.

Also the only door to nbformat, which is imported when a notebook is written: it takes longer than all the rest.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixroute_magic.arguments import OptionError
from mixroute_magic.conversation.handout import handout, heading
from mixroute_magic.conversation.model import Conversation
from mixroute_magic.conversation.records import Edit, now, read
from mixroute_magic.conversation.saved import SavedCell
from mixroute_magic.conversation.turn import VERSION, Turn
from mixroute_magic.errors import HistoryError
from mixroute_magic.options import parse_chat

__all__ = ["Bundle", "export", "import_turns"]
