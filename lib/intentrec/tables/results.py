"""The tables from the model to what consumers read, in flow order, and the ledger."""

from intentrec.tables.declaration import Table

_LIST = (
    "ARRAY<STRUCT<rank: INT, item_id: STRING, score: DOUBLE, source: STRING, intent: STRING, "
    "because_item_id: STRING, propensity: DOUBLE>>"
)
_FIGURES = "ARRAY<STRUCT<key: STRING, value: DOUBLE>>"
_COUNTERS = "ARRAY<STRUCT<key: STRING, value: BIGINT>>"
_MEASURED = (
    "ARRAY<STRUCT<model_id: STRING, segment: STRING, metric: STRING, k: INT, step: INT, value: DOUBLE, low: DOUBLE, "
    "high: DOUBLE, num_users: BIGINT>>"
)
_VERSIONS = "ARRAY<STRUCT<table: STRING, version: BIGINT>>"
# Segments of METRICS: the challenger's lists, judged without and with recommendations.policies.
BEFORE_POLICIES, AFTER_POLICIES = "policies: off", "policies: on"
# First and last only: Delta cannot evaluate a lambda in a constraint.
_RANKED = {"ranks": "items[0].rank = 1 AND items[size(items) - 1].rank = size(items)"}

MODELS = Table(
    name="models",
    row="trained model, never changed",
    writer="train_model, evaluate_model (refit)",
    key=("model_id",),
    provenance=("inputs", "artifact_path", "run_id", "created_at"),
    columns=f"""
        model_id           STRING     NOT NULL  COMMENT 'hash of run date, kind, config, version and content of examples',
        run_date           DATE       NOT NULL  COMMENT 'the night it belongs to',
        kind               STRING     NOT NULL  COMMENT 'challenger: judged on the held-out days; refit: trained on through them, serves',
        challenger_id      STRING               COMMENT 'for a refit: the judged model it continues',
        warm_started_from  STRING               COMMENT 'model_id of the champion it started from',
        trained_until      TIMESTAMP  NOT NULL  COMMENT 'UTC; no target at or after this instant was trained on',
        config             STRING     NOT NULL  COMMENT 'JSON of the resolved config',
        artifact_path      STRING     NOT NULL  COMMENT 'folder with weights, vocabulary and manifest',
        files              ARRAY<STRUCT<name: STRING, sha256: STRING, bytes: BIGINT>>  NOT NULL  COMMENT 'every file of the folder, sorted by name',
        figures            {_MEASURED}  NOT NULL  COMMENT 'what train_model measured, as in metrics: a night that comes back to this model shows it again',
        inputs             {_VERSIONS}  NOT NULL  COMMENT 'versions of the tables it was built from',
        run_id             STRING     NOT NULL  COMMENT 'the run that trained it',
        created_at         TIMESTAMP  NOT NULL  COMMENT 'UTC, time of writing'
    """,
)
GATE_DECISIONS = Table(
    name="gate_decisions",
    row="decision, append-only",
    writer="evaluate_model, override",
    key=("run_date", "model_id", "verdict"),
    provenance=("run_id", "decided_at"),
    checks={"verdicts": "verdict IN ('promoted', 'refused', 'pinned', 'demoted', 'withdrawn', 'lifted')"},
    columns=f"""
        run_date          DATE        NOT NULL  COMMENT 'the night it belongs to',
        model_id          STRING      NOT NULL  COMMENT 'the judged model; of withdrawn lists the model or baseline that made them',
        verdict           STRING      NOT NULL  COMMENT 'of the gate: promoted or refused; of a person (override): pinned, demoted; withdrawn: the lists of the night; lifted: they may be published again',
        against           STRING                COMMENT 'the champion it was compared with, else the best baseline',
        serving_model_id  STRING                COMMENT 'the model that serves because of this decision: the refit one',
        figures           {_FIGURES}  NOT NULL  COMMENT 'what was compared, sorted by key',
        reason            STRING      NOT NULL  COMMENT 'one sentence for people',
        run_id            STRING      NOT NULL  COMMENT 'the run that decided',
        decided_at        TIMESTAMP   NOT NULL  COMMENT 'UTC, time of writing'
    """,
)
METRICS = Table(
    name="metrics",
    row="figure",
    writer="every stage that measures",
    key=("run_date", "stage", "model_id", "segment", "metric", "k", "step"),
    partition=("run_date", "stage"),
    provenance=("run_id",),
    columns="""
        run_date   DATE    NOT NULL  COMMENT 'the night it belongs to',
        stage      STRING  NOT NULL  COMMENT 'the job that measured it',
        model_id   STRING  NOT NULL  COMMENT 'a model, or the name of a baseline',
        segment    STRING  NOT NULL  COMMENT 'all; or users (cold, history: 3-9, segment: NAME), an intent head, an event feature, or whether policies are on',
        metric     STRING  NOT NULL  COMMENT 'name in lower case, for example ndcg',
        k          INT               COMMENT 'length of the list that was judged',
        step       INT               COMMENT 'epoch, for figures of training',
        value      DOUBLE  NOT NULL  COMMENT 'the figure',
        low        DOUBLE            COMMENT 'lower end of the bootstrap interval, 90 %',
        high       DOUBLE            COMMENT 'upper end of the bootstrap interval, 90 %',
        num_users  BIGINT            COMMENT 'users it is a mean over',
        run_id     STRING  NOT NULL  COMMENT 'the run that measured it'
    """,
)
_RECOMMENDATION_COLUMNS = f"""
        run_date  DATE     NOT NULL  COMMENT 'as of the end of this date',
        user_id   STRING   NOT NULL  COMMENT 'as in events',
        items     {_LIST}  NOT NULL  COMMENT 'best first; source: model, prior, fallback, pinned or explore (drawn at random with that propensity)',
        model_id  STRING   NOT NULL  COMMENT 'the model, or the name of the baseline, that made the list',
        run_id    STRING   NOT NULL  COMMENT 'the run that made it',
        made_from BIGINT             COMMENT 'hash of what the list was made of: equal, equal lists (recommendations.incremental)'
"""
CANDIDATES = Table(  # never written: what scoring hands to the recommendations stage
    name="candidates",
    row="user to score",
    writer="write_recommendations",
    key=("user_id",),
    columns="""
        user_id       STRING  NOT NULL  COMMENT 'as in events',
        items         ARRAY<STRUCT<item_id: STRING, score: DOUBLE, source: STRING, intent: STRING, because_item_id: STRING, propensity: DOUBLE>>
                              NOT NULL  COMMENT 'best first; fewer than K where fewer are eligible',
        heads         ARRAY<STRUCT<head: STRING, labels: ARRAY<STRUCT<label: STRING, probability: DOUBLE>>>>
                              NOT NULL  COMMENT 'as in user_intents',
        head_weights  ARRAY<STRUCT<head: STRING, weight: DOUBLE>>
                              NOT NULL  COMMENT 'as in user_intents',
        embedding     ARRAY<FLOAT>  NOT NULL  COMMENT 'as in user_intents',
        made_from     BIGINT  NOT NULL  COMMENT 'as in recommendations',
        passed        ARRAY<BIGINT>  NOT NULL  COMMENT 'better candidates that each rule with a limit kept off the list; empty where nobody counted'
    """,
)
RECOMMENDATIONS_STAGED = Table(
    name="recommendations_staged",
    row="user and run date, before the lists' checks",
    writer="write_recommendations",
    key=("run_date", "user_id"),
    partition=("run_date",),
    provenance=("run_id", "made_from"),
    columns=_RECOMMENDATION_COLUMNS,
)
USER_INTENTS = Table(
    name="user_intents",
    row="user and run date",
    writer="write_recommendations",
    key=("run_date", "user_id"),
    partition=("run_date",),
    provenance=("run_id", "made_from"),
    columns="""
        run_date      DATE    NOT NULL  COMMENT 'as of the end of this date',
        user_id       STRING  NOT NULL  COMMENT 'as in events',
        heads         ARRAY<STRUCT<head: STRING, labels: ARRAY<STRUCT<label: STRING, probability: DOUBLE>>>>
                              NOT NULL  COMMENT 'per intent head the most likely labels, best first',
        head_weights  ARRAY<STRUCT<head: STRING, weight: DOUBLE>>
                              NOT NULL  COMMENT 'attention over the heads (alpha), sums to 1',
        primary_head  STRING            COMMENT 'the head with the greatest weight',
        embedding     ARRAY<FLOAT>  NOT NULL  COMMENT 'intent embedding (Z)',
        model_id      STRING  NOT NULL  COMMENT 'the model that made it',
        run_id        STRING  NOT NULL  COMMENT 'the run that made it',
        made_from     BIGINT            COMMENT 'as in recommendations'
    """,
)
SEGMENT_RECOMMENDATIONS = Table(
    name="segment_recommendations",
    row="segment and run date",
    writer="write_recommendations",
    key=("run_date", "segment"),
    partition=("run_date",),
    provenance=("run_id",),
    columns=f"""
        run_date  DATE     NOT NULL  COMMENT 'as of the end of this date',
        segment   STRING   NOT NULL  COMMENT 'all, or a segment of users',
        items     {_LIST}  NOT NULL  COMMENT 'the list for users without history, best first',
        model_id  STRING   NOT NULL  COMMENT 'the name of the baseline that made it',
        run_id    STRING   NOT NULL  COMMENT 'the run that made it'
    """,
)
SIMILAR_ITEMS = Table(
    name="similar_items",
    row="item and run date",
    writer="write_recommendations",
    key=("run_date", "item_id"),
    partition=("run_date",),
    provenance=("run_id",),
    columns="""
        run_date  DATE    NOT NULL  COMMENT 'as of the end of this date',
        item_id   STRING  NOT NULL  COMMENT 'as in items',
        items     ARRAY<STRUCT<rank: INT, item_id: STRING, score: DOUBLE>>
                          NOT NULL  COMMENT 'nearest items by the cosine of the item vectors, nearest first',
        model_id  STRING  NOT NULL  COMMENT 'the model whose vectors were compared',
        run_id    STRING  NOT NULL  COMMENT 'the run that made it'
    """,
)
RECOMMENDATIONS = Table(
    name="recommendations",
    row="user and run date; the newest run_date is always complete and safe to serve",
    writer="write_recommendations",
    key=("run_date", "user_id"),
    partition=("run_date",),
    provenance=("run_id", "made_from"),
    checks=_RANKED,
    properties={"delta.enableChangeDataFeed": "true"},
    columns=_RECOMMENDATION_COLUMNS,
)
RUNS = Table(
    name="runs",
    row="run and stage",
    writer="every job",
    key=("run_id", "stage"),
    provenance=("run_id", "started_at", "finished_at", "inputs", "outputs"),
    columns=f"""
        run_id       STRING       NOT NULL  COMMENT 'one per command',
        run_date     DATE         NOT NULL  COMMENT 'the night it belongs to',
        stage        STRING       NOT NULL  COMMENT 'name of the job',
        status       STRING       NOT NULL  COMMENT 'finished, skipped, failed, or removed: finished, but maintain_tables has removed rows of the night since',
        started_at   TIMESTAMP    NOT NULL  COMMENT 'UTC',
        finished_at  TIMESTAMP    NOT NULL  COMMENT 'UTC',
        inputs       {_VERSIONS}  NOT NULL  COMMENT 'Delta versions of what the stage reads and writes, as it found them',
        outputs      {_VERSIONS}  NOT NULL  COMMENT 'Delta versions after the stage',
        input_hash   STRING       NOT NULL  COMMENT 'hash of what the stage could see',
        config_hash  STRING       NOT NULL  COMMENT 'hash of the config values that the stage reads',
        code_version STRING       NOT NULL  COMMENT 'version of the package',
        counters     {_COUNTERS}  NOT NULL  COMMENT 'what was counted, sorted by key',
        message      STRING                 COMMENT 'the error of a failed stage, or a warning'
    """,
)
