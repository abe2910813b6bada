"""Who is in the corpus: invented people whose names need every character set, and words that are nobody's."""

import random
from dataclasses import dataclass

_ONSETS = ("bl", "br", "dr", "fl", "gl", "gr", "kl", "kn", "kr", "pl", "pr",
           "schl", "schm", "schw", "sp", "st", "str", "tr", "w", "z", "v", "m", "n", "l")  # fmt: skip
_CORES = ("a", "e", "i", "o", "u", "au", "ei", "oa", "ui")  # fmt: skip
_ENDS = ("lm", "nk", "rg", "tz", "mpf", "ntz", "rsch", "ld", "ff", "rb", "lk", "gst", "x")  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A patient.

    name      PN value; groups for scripts after =
    charset   Specific Character Set able to hold it
    born      YYYYMMDD
    """

    name: str
    charset: str | list[str]
    number: str
    born: str

    @property
    def words(self) -> list[str]:
        """The parts of the name that are long enough to be searched for."""
        parts = self.name.replace("=", "^").replace(" ", "^").split("^")
        return [part for part in parts if (len(part) > 2 and part != "Prof") or (len(part) == 2 and not part.isascii())]


PEOPLE = (
    Person("Quirlbusch^Thaddaea", "ISO_IR 192", "70012345", "19500317"),
    Person("Zwölfkäuz^Änneliese", "ISO_IR 100", "0004711815", "19611224"),
    Person("Сквозняк^Ульяна", "ISO_IR 144", "MR-558-019", "19730505"),
    Person("Ψαροκόκκαλος^Ευρυδίκη", "ISO_IR 126", "GR2290417", "19480229"),
    Person("Wang^XiaoDong=王^小东", "GB18030", "CN-0091827", "19880808"),
    Person(
        "Yamashirogawa^Tarokichi=山白川^太郎吉=やましろがわ^たろきち", ["", "ISO 2022 IR 87"], "JP771204", "19551103"
    ),
    Person("Hongryeol^Gilsunja=홍^길순자=홍^길순자", ["", "ISO 2022 IR 149"], "KR-20417", "19690715"),
    Person("Plumquest^Bartholda^Ottoline^Prof Dr", "ISO_IR 192", "A00998877", "19300109"),
    Person("Żółwiński^Świętopełka", "ISO_IR 101", "PL/44/8812", "19570630"),
    Person("Krummbiegl-Osterwaldt^Hildburg", "ISO_IR 100", "3318842907", "20010912"),
)


class Chance:
    """Invented words, numbers and dates; each only once, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._given: set[str] = set()

    def word(self) -> str:
        """A surname that nobody has and no language knows."""
        pick = self.random.choice
        return self._once(lambda: "".join(pick(_ONSETS) + pick(_CORES) + pick(_ENDS) for _ in range(3)).capitalize())

    def digits(self, count: int = 8) -> str:
        """A number, not beginning with 0."""
        return self._once(lambda: str(self.random.randrange(10 ** (count - 1), 10**count)))

    def uid(self) -> str:
        """A UID under a root that nobody has."""
        return f"1.3.6.1.4.1.99999.{self.digits(9)}.{self.digits(9)}"

    def _once(self, make: object) -> str:
        while True:
            made = make()  # type: ignore[operator]
            if made not in self._given:
                self._given.add(made)
                return made
