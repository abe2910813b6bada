"""What rules draw at random: derived from the secret key and from what it is about, never drawn twice differently.

So the same original gives the same result after a crash, on another machine and in another worker, and nothing has to
be remembered. ``ReuseMapping`` says within what two equal values get the same new one: that is hashed with them.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from appliance.deid.pseudonyms import Pseudonyms
from appliance.deid.transforms import Reuse

LETTERS = 12  # base32: 60 bits. Five parts of a person's name and what joins them are 64 characters
_FIRST_DAY = date(1900, 1, 1)
_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Drawn:
    """The draws for one instance.

    own     (identity domain, number) of the patient
    study, series, instance  original UIDs
    """

    pseudonyms: Pseudonyms
    own: tuple[str, str]
    study: str
    series: str
    instance: str

    def days(self, by: int, reuse: Reuse) -> int:
        """Return a number of days from -by to by, never 0: one for everything within ``reuse``."""
        return _other_than_zero(self._number(f"ShiftDateTime days {by}", reuse, "", ""), by)

    def seconds(self, by: int, reuse: Reuse) -> int:
        """Return a number of seconds, likewise."""
        return _other_than_zero(self._number(f"ShiftDateTime seconds {by}", reuse, "", ""), by)

    def text(self, original: str, vr: str, reuse: Reuse, place: str) -> str | None:
        """Return what stands for one value of a text VR; None for a VR that holds no text.

        place  where the value stands, for what is never reused
        """
        number = self._number("RandomizeText", reuse, place, original)
        if vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"):
            return self._letters("RandomizeText", reuse, place, original)[:LETTERS]
        if vr == "UR":
            return f"urn:{self._letters('RandomizeText', reuse, place, original)[:LETTERS].lower()}"
        day = (_FIRST_DAY + timedelta(days=number % _DAYS)).strftime("%Y%m%d")
        second = number // _DAYS % 86_400
        moment = f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
        digits = str(number % 10**8)
        return {
            "AS": f"{number % 90:03d}Y",
            "DA": day,
            "DS": digits,
            "DT": day + moment,
            "IS": digits,
            "TM": moment,
        }.get(vr)

    def _number(self, purpose: str, reuse: Reuse, place: str, original: str) -> int:
        return int(self._letters(purpose, reuse, place, original), 36)

    def _letters(self, purpose: str, reuse: Reuse, place: str, original: str) -> str:
        within = self._within(reuse, place)
        # The length in front: ("ab", "c") and ("a", "bc") must not meet.
        return self.pseudonyms.text(f"{purpose} {reuse}", f"{len(within)} {within}{original}")

    def _within(self, reuse: Reuse, place: str) -> str:
        domain, number = self.own
        return {
            Reuse.ALWAYS: "",
            Reuse.PATIENT: f"{len(domain)} {domain}{number}",
            Reuse.STUDY: self.study,
            Reuse.SERIES: self.series,
            Reuse.INSTANCE: self.instance,
            Reuse.NEVER: f"{self.instance} {place}",
        }[reuse]


def _other_than_zero(number: int, by: int) -> int:
    steps = number % (2 * by)  # 0 ... 2*by-1
    return steps - by if steps < by else steps - by + 1
