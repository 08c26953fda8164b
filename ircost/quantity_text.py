"""Quantities for people: three digits and a prefix. SI base units go in."""

from __future__ import annotations

SI_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
SMALL_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))
BINARY_PREFIXES = ((2.0**40, "Ti"), (2.0**30, "Gi"), (2.0**20, "Mi"), (2.0**10, "Ki"), (1.0, ""))


def si_text(value: float, unit: str) -> str:
    """With a decimal prefix, for what is counted and for rates.

    >>> si_text(3.35e12, "B/s"), si_text(132, "")
    ('3.35 TB/s', '132')
    """
    return _scaled(value, unit, SI_PREFIXES)


def small_text(value: float, unit: str) -> str:
    """With a prefix below one, for times and energies.

    >>> small_text(0.00062, "s"), small_text(9.996e-4, "s"), small_text(0, "J")
    ('620 us', '1.00 ms', '0 J')
    """
    return _scaled(value, unit, SMALL_PREFIXES)


def bytes_text(value: float) -> str:
    """Bytes with a binary prefix, as memory is bought.

    >>> bytes_text(102_167_552), bytes_text(1024), bytes_text(12)
    ('97.4 MiB', '1 KiB', '12 B')
    """
    return _scaled(value, "B", BINARY_PREFIXES)


def rate_text(per_s: float) -> str:
    """Whole numbers where there are three digits of them.

    >>> rate_text(49_219.3), rate_text(12.96), rate_text(0.236)
    ('49,219', '13.0', '0.24')
    """
    return f"{per_s:,.0f}" if per_s >= 100 else three_digits(per_s)


def _scaled(value: float, unit: str, prefixes: tuple[tuple[float, str], ...]) -> str:
    """In the first scale that the value reaches, as it is or once it is rounded to three digits."""
    if value == 0:
        return f"0 {unit}".rstrip()
    magnitude = max(abs(value), float(f"{abs(value):.3g}"))
    scale, prefix = next((item for item in prefixes if magnitude >= item[0]), prefixes[-1])
    return f"{three_digits(value / scale)} {prefix}{unit}".rstrip()


def three_digits(value: float) -> str:
    """Whole numbers below 1000 as they are, all else with three digits.

    >>> three_digits(8.2), three_digits(97.44), three_digits(4194.304), three_digits(0.00149477)
    ('8.20', '97.4', '4,194', '0.00149')
    """
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    if abs(value) < 0.0995:
        return f"{value:.3g}"  # what two decimals would leave nothing, or one digit, of
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{digits}f}"
