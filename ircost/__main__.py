"""``python -m ircost`` is ``irc``."""

from ircost.cli import main

if __name__ == "__main__":
    main()
