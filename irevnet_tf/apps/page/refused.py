"""Refused: an answer in one sentence to a request that cannot be met."""


class Refused(Exception):
    """A request that is answered with a sentence instead of a result.

    Args:
        status: int. The status of the answer, such as 413.
        sentence: str. What a person reads.
    """

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
