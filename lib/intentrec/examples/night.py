"""One night's tables as building, training, evaluation and scoring read them: one cut-off for all."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.config import Cutoff, SeenConfig
from intentrec.examples.encoding import Encoding, encode, item_categories
from intentrec.examples.judging import judged_users
from intentrec.examples.seen import SeenRule, seen_events, seen_items
from intentrec.examples.sequences import Shape
from intentrec.examples.vocabularies import timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a run date sees, and how it becomes numbers.

    Attributes:
        run_date: the night.
        cutoff: ends of days.
        encoding: how events become numbers.
        shape: of the rows of examples and histories.
        window_days: days of history that are read; None: all.
        seen: what lists leave out; None: nothing.
        sessions: SESSIONS rows of all nights.
        items: ITEMS rows of the run date.
        vocabulary: VOCABULARY rows of the run date.
        features: FEATURE_VOCABULARY rows of the run date.
        seen_rules: rules of the run date that come before ``seen``.
    """

    run_date: date
    cutoff: Cutoff
    encoding: Encoding
    shape: Shape
    window_days: int | None
    seen: SeenConfig | None
    sessions: DataFrame
    items: DataFrame
    vocabulary: DataFrame
    features: DataFrame
    seen_rules: tuple[SeenRule, ...] = ()

    def end(self, days_before: int = 0) -> datetime:
        """Return the first instant after the run date, or after the day so many days before it; aware, UTC."""
        return self.cutoff.end_of(self.run_date - timedelta(days=days_before))

    def categories(self) -> DataFrame:
        """Look up the numbers of each item's first categories."""
        return item_categories(self.items, self.features, self.encoding.max_categories)

    def events(self, num_days: int | None = None) -> DataFrame:
        """Return the events that the run date sees as numbers: rows of ``encode``.

        Args:
            num_days: only those of the last days; None: of ``window_days``.
        """
        days = self.window_days if num_days is None else num_days
        since = None if days is None else self.end(days)
        seen = timeline(self.sessions, self.end(), since)
        return encode(seen, self.vocabulary, self.features, self.categories(), self.encoding)

    def seen_before(self, until: datetime) -> DataFrame:
        """Collect what a list made at ``until`` leaves out, from all history: rows of ``seen_items``."""
        seen = self._seen_events(until)
        fresh = F.col("occurred_at") >= F.lit(until) - F.make_dt_interval(F.col("days"))
        return seen_items(seen.where(F.col("days").isNull() | fresh))

    def judged(self, events: DataFrame, days_before: int, num_days: int, max_lists: int) -> DataFrame:
        """Collect, for each of ``num_days`` days, users with a history before it and something new in it.

        Args:
            events: rows of ``self.events()``, which the caller may have cached.
            days_before: days of the night that begin with the first judged one: 1 is the run date itself.
            num_days: judged days.
            max_lists: most users and days kept.

        Returns:
            JUDGED_COLUMNS, in their order.
        """
        bounds = self.bounds(days_before, num_days)
        return judged_users(events, self._seen_events(bounds[-1]), bounds, self.shape, max_lists)

    def bounds(self, days_before: int, num_days: int) -> list[datetime]:
        """Return where ``num_days`` days begin, the first of them ``days_before`` the end, and where the last ends."""
        return [self.end(days_before - day) for day in range(num_days + 1)]

    def _seen_events(self, until: datetime) -> DataFrame:
        events = timeline(self.sessions, until)
        return seen_events(events, self.vocabulary, self.seen, self.seen_rules, self.items)
