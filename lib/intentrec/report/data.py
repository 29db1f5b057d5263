"""What the report is made of: plain values that the jobs fill from the tables. Every tuple may be empty."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class StageRows:
    """A row of RUNS; counters as there, seconds of wall time."""

    stage: str
    status: str
    seconds: float
    counters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Quarantined rows of one reason, with one of them as file:line."""

    reason: str
    num_rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Score:
    """A figure of one recommender on the held-out users; role is challenger, champion or baseline."""

    name: str
    role: str
    metric: str
    k: int | None
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses of one epoch, nats per unit of weight; without validation that one is None."""

    epoch: int
    train_loss: float
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class Day:
    """Events by event_date and sessions by session_date, UTC."""

    day: date
    num_events: int
    num_sessions: int


@dataclass(frozen=True, slots=True)
class SessionLength:
    """Sessions whose number of events is in the class that the label names; classes come in order."""

    label: str
    num_sessions: int


@dataclass(frozen=True, slots=True)
class IntentShare:
    """Share of users whose most likely label of a head this is."""

    head: str
    label: str
    share: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Items shown to at least one user in the first k places, beside the items that might have been."""

    k: int
    num_shown: int
    num_eligible: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A figure of the challenger's lists without recommendations.policies and with them."""

    metric: str
    k: int
    without: float
    with_them: float


@dataclass(frozen=True, slots=True)
class NightFigure:
    """A figure of the lists or of drift, as in METRICS; segment is all, an intent head or an event feature."""

    metric: str
    segment: str
    value: float


@dataclass(frozen=True, slots=True)
class SampleItem:
    """A row of a list with titles in place of ids; chance is the propensity of a row that was drawn."""

    rank: int
    title: str
    source: str
    because: str | None
    intent: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class SampleUser:
    """A user, the titles of the latest items (oldest first), and the list."""

    user_id: str
    history: tuple[str, ...]
    items: tuple[SampleItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """One night.

    Attributes:
        run_id: of the command.
        run_date: the night.
        warehouse: where the tables are.
        model_id: the model, or the name of the baseline, that made the lists; None before there are any.
        verdict: of the gate; None where it did not decide.
        reason: the gate's sentence.
        warnings: one line each.
        stages: in flow order.
        rejected: most rows first.
        scores: in the order in which recommenders and metrics are to be shown; the first k decides.
        epochs: of the model that was trained tonight.
        days: ascending.
        session_lengths: classes in order.
        intents: by head, most frequent label first.
        coverage: by k.
        trades: what the policies cost and buy; empty where all of them are off.
        samples: users to show.
        figures: of the lists and of drift.
        refusals: nights in a row, this one among them, whose challenger the gate refused.
        published: whether readers find the lists of this night.
    """

    run_id: str
    run_date: date
    warehouse: str
    model_id: str | None = None
    verdict: str | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    stages: tuple[StageRows, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    scores: tuple[Score, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    days: tuple[Day, ...] = ()
    session_lengths: tuple[SessionLength, ...] = ()
    intents: tuple[IntentShare, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    trades: tuple[Trade, ...] = ()
    samples: tuple[SampleUser, ...] = ()
    figures: tuple[NightFigure, ...] = ()
    refusals: int = 0
    published: bool = False
