"""Result, the base class of the results of all studies."""

import abc


class Result(abc.ABC):
    """The arrays of a study, with tables and a conclusion.

    Subclasses are frozen dataclasses.
    """

    @abc.abstractmethod
    def tables(self) -> dict[str, list[dict]]:
        """Return the observations, {name of a table: rows}.

        The first table has the study's own name. All rows of a table have the
        same columns, and one observation each.
        """

    @abc.abstractmethod
    def summary(self) -> list[dict]:
        """Return a table that fits on a page; values are strings or numbers."""

    @abc.abstractmethod
    def conclusion(self) -> str:
        """Return the conclusion from the numbers, in a sentence or two."""
