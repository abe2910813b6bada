"""What the services published last, asked by name: for pages, which show a number here and there."""

from appliance.watch.scrape import Watched


class Told:
    """The families of all services, read once."""

    def __init__(self, watched: Watched) -> None:
        self._families = {family.name: family for family in watched.merged()}

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return label -> the sum of a family's values that have it; a counter's name is without ``_total``."""
        found: dict[str, float] = {}
        for each in self._families[name].samples if name in self._families else ():
            if label in each.labels:
                found[each.labels[label]] = found.get(each.labels[label], 0.0) + each.value
        return found

    def value(self, name: str) -> float | None:
        """Return the value of a gauge without labels; None if nobody told it."""
        return next((each.value for each in self._families[name].samples), None) if name in self._families else None
