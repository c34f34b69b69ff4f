"""`python -m gpbo.cli`: the command line without the installed script."""

import sys

from gpbo.cli import main

sys.exit(main())
