"""One night's tables as building, training, evaluation and scoring read them: one cut-off for all."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.config import Cutoff, SeenConfig
from intentrec.examples.encoding import Encoding, encode, item_categories
from intentrec.examples.judging import judged_users
from intentrec.examples.sequences import Shape, seen_items
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

    def end(self, days_before: int = 0) -> datetime:
        """Return the first instant after the run date, or after the day so many days before it; aware, UTC."""
        return self.cutoff.end_of(self.run_date - timedelta(days=days_before))

    def categories(self) -> DataFrame:
        """Look up the numbers of each item's first categories."""
        return item_categories(self.items, self.features, self.encoding.max_categories)

    def events(self) -> DataFrame:
        """Return all events that the run date sees as numbers: rows of ``encode``."""
        since = None if self.window_days is None else self.end(self.window_days)
        seen = timeline(self.sessions, self.end(), since)
        return encode(seen, self.vocabulary, self.features, self.categories(), self.encoding)

    def seen_before(self, until: datetime) -> DataFrame:
        """Collect what a list made at ``until`` leaves out, from all history: rows of ``seen_items``."""
        if self.seen is None:
            nobody = self.vocabulary.where(F.lit(False))
            return nobody.select(F.col("item_id").alias("user_id"), F.array("item_index").alias("seen"))
        since = None if self.seen.days is None else until - timedelta(days=self.seen.days)
        actions = None if self.seen.actions == "all" else self.seen.actions
        return seen_items(timeline(self.sessions, until), self.vocabulary, actions, since)

    def judged(self, events: DataFrame, since: datetime, until: datetime, max_users: int) -> DataFrame:
        """Collect users with a history before ``since`` and something new in [``since``, ``until``).

        Args:
            events: rows of ``self.events()``, which the caller may have cached.
            since: aware.
            until: aware.
            max_users: most users kept.

        Returns:
            JUDGED_COLUMNS, one row per user, in user_id order.
        """
        return judged_users(events, self.seen_before(since), since, until, self.shape, max_users)
