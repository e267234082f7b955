"""`python tests/support/stores`: see `--help`."""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a folder, Python puts the folder itself first, where our modules would shadow others.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stores.cli import main  # noqa: E402

sys.exit(main())
