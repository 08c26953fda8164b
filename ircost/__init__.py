"""How fast will a network run on a machine, at what energy, and what limits it?"""

__version__ = "0.1.0"
