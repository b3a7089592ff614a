"""`python -m crdt_chat` is `crdt-chat`."""

import sys

from crdt_chat.cli import main

if __name__ == "__main__":
    sys.exit(main())
