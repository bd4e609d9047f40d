"""``python -m stages.commands`` is ``straightflow``."""

from stages.commands.app import main

main()
