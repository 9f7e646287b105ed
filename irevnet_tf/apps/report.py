"""Printing for the command line."""


def say(text: str) -> None:
    """Print a line at once, for whoever waits."""
    print(text, flush=True)


def print_rows(rows: dict[str, object]) -> None:
    """Print titles and what belongs to them, aligned."""
    for title, value in rows.items():
        say(f"{title:25} {value}")
