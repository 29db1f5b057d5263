"""The nightly scoring job on Spark beside the same work in one process, and beside Spark's own ALS.

B users   V items + 1 (0 is padding)   D width   K places

Users have histories of 1 to 100 events, half of them below 12. Figures:
``spark_vs_plain_20k`` and ``_200k``: users a second of the job (Parquet of histories -> lists with reasons -> Parquet)
over those of the same lists made without Spark, with as many threads as the job has cores.
``vs_als_scorer``: time per user of ALS' recommendForAllUsers over that of the top-K engine on the same factors.
``vs_als_job``: the same of whole jobs, both written to Parquet; ALS leaves nothing out and gives no reasons.
``encode_share``: of encoding histories in making a list. ``memory_spread``: the largest over the smallest peak memory
of a job's process tree, 1,000 items, 10,000 users to a million, with a Java heap of 1 GiB that is taken at the start.
"""

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from form import Flags, Measured, interleaved, ratio, run_benchmark
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from trees import watched

from intentrec.cluster.priors import Prior
from intentrec.cluster.scoring import ScoringPlan, load_scorer, score
from intentrec.cluster.scoring.tasks import task_of
from intentrec.model.checkpoint import Artifact, Vocabulary, save_artifact
from intentrec.model.inference import Histories
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, Field, preset_shape
from intentrec.model.topk import top_k
from intentrec.spark import start_spark
from intentrec.tables import CANDIDATES

K = 100
FIELDS = (Field("action", 3), Field("categories", 20))
LABELS = {"action": ("view", "cart", "buy"), "categories": tuple(f"c{number}" for number in range(1, 21))}
CORES = 2
FIGURES = ("spark_vs_plain_20k", "spark_vs_plain_200k", "vs_als", "encode_share", "memory")


def main(flags: Flags) -> Measured:
    """Measure what is asked for."""
    num_items, width = (2_000, 32) if flags.quick else (100_000, 128)
    sizes = {"20k": 1_000, "200k": 2_000} if flags.quick else {"20k": 20_000, "200k": 200_000}
    figures: dict[str, float] = {}
    wanted = FIGURES if flags.figure is None else (flags.figure,)
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory(prefix="nightly-scoring-") as place:
        folder = Path(place)
        if set(wanted) - {"memory"}:
            plan = _plan(folder, num_items, width)
            spark = _session()
            for name, users in sizes.items():
                if f"spark_vs_plain_{name}" in wanted:
                    figures |= _spark_beside_plain(spark, plan, folder, users)
            if "vs_als" in wanted:
                figures |= _beside_als(spark, plan, folder, num_users=400 if flags.quick else 20_000)
            if "encode_share" in wanted:
                figures["encode_share"] = _encode_share(plan, folder, num_users=1_000 if flags.quick else 4_000)
            spark.stop()
        if "memory" in wanted:
            figures |= _memory(folder, (1_000, 4_000) if flags.quick else (10_000, 100_000, 1_000_000))
    return Measured({"items": num_items, "width": width, "k": K, "cores": CORES}, figures)


def _spark_beside_plain(spark: SparkSession, plan: ScoringPlan, folder: Path, num_users: int) -> dict[str, float]:
    _write_histories(folder / "histories.parquet", num_users, len(plan.items) - 1)
    costs = interleaved(
        {"spark": lambda: _job(spark, plan, folder, num_users), "plain": lambda: _plain(plan, folder)}
    )  # fmt: skip
    label = f"{num_users // 1000}k"
    best = {name: min(cost.wall_s for cost in runs) for name, runs in costs.items()}
    return {
        f"spark_vs_plain_{label}": round(1 / ratio(costs["spark"], costs["plain"]), 4),
        **{f"{name}_{label}_users_per_s": round(num_users / seconds, 1) for name, seconds in best.items()},
    }


def _beside_als(spark: SparkSession, plan: ScoringPlan, folder: Path, num_users: int) -> dict[str, float]:
    """Give ALS the model's item vectors and random users; a twentieth of the users is enough for the slower one."""
    scorer, few = load_scorer(plan), num_users // 20
    queries_BD = torch.randn(num_users, scorer.shape.width, generator=torch.Generator().manual_seed(3))
    als = _als_model(spark, queries_BD[:few].numpy(), scorer.items_VD[1:].numpy())
    _write_histories(folder / "histories.parquet", num_users, len(plan.items) - 1)
    costs = interleaved(
        {
            "engine": lambda: top_k(queries_BD, scorer.items_VD, K),
            "job": lambda: _job(spark, plan, folder, num_users),
            "als": lambda: als.write.format("noop").mode("overwrite").save(),
            "als_job": lambda: als.write.mode("overwrite").parquet(str(folder / "als.parquet")),
        }
    )
    share = num_users / few
    return {
        "vs_als_scorer": round(share * ratio(costs["als"], costs["engine"]), 2),
        "vs_als_job": round(share * ratio(costs["als_job"], costs["job"]), 2),
    }


def _als_model(spark: SparkSession, users_BD: np.ndarray, items_VD: np.ndarray) -> DataFrame:
    def factors(vectors: np.ndarray) -> DataFrame:
        rows = [(number, row.tolist()) for number, row in enumerate(vectors)]
        return spark.createDataFrame(rows, "id INT, features ARRAY<FLOAT>").persist()

    users, items = factors(users_BD), factors(items_VD)
    users.count(), items.count()
    jvm = spark.sparkContext._jvm
    model = jvm.org.apache.spark.ml.recommendation.ALSModel("als", users_BD.shape[1], users._jdf, items._jdf)
    return DataFrame(model.setUserCol("user").setItemCol("item").recommendForAllUsers(K), spark)


def _encode_share(plan: ScoringPlan, folder: Path, num_users: int) -> float:
    _write_histories(folder / "histories.parquet", num_users, len(plan.items) - 1)
    rows = pq.read_table(folder / "histories.parquet")
    past = Histories(*([np.asarray(own) for own in rows[name].to_pylist()] for name in ("items", "times", "features")))
    scorer = load_scorer(plan)
    costs = interleaved({"encode": lambda: scorer.encode(past), "lists": lambda: _plain(plan, folder)})
    return ratio(costs["encode"], costs["lists"])


def _memory(folder: Path, sizes: tuple[int, ...]) -> dict[str, float]:
    peaks = {}
    for users in sizes:
        peaks[users] = watched([sys.executable, __file__, "--job", str(users), str(folder)], folder)[1]
    figures = {f"peak_mb_{users}": round(peak) for users, peak in peaks.items()}
    return {**figures, "memory_spread": round(max(peaks.values()) / min(peaks.values()), 3)}


def _memory_job(num_users: int, folder: Path) -> None:
    plan = _plan(folder / str(num_users), 1_000, 64)
    _write_histories(folder / "histories.parquet", num_users, 1_000)
    # Java takes of its heap what garbage there is before it collects any: here it has all of it from the start.
    heap = {"spark.driver.memory": "1g", "spark.driver.extraJavaOptions": "-Xms1g -XX:+AlwaysPreTouch"}
    spark = _session(**heap)
    _job(spark, plan, folder, num_users)
    spark.stop()


def _job(spark: SparkSession, plan: ScoringPlan, folder: Path, num_users: int) -> None:
    shared = spark.sparkContext.broadcast(plan)
    histories = spark.read.parquet(str(folder / "histories.parquet"))
    score(histories, shared, num_users).write.mode("overwrite").parquet(str(folder / "lists.parquet"))
    shared.destroy()


def _plain(plan: ScoringPlan, folder: Path) -> None:
    task = task_of(SimpleNamespace(value=plan), to_arrow_schema(CANDIDATES.schema), CORES)
    with pq.ParquetFile(folder / "histories.parquet") as file:
        rows = task(file.iter_batches(20_000))
        with pq.ParquetWriter(folder / "plain.parquet", to_arrow_schema(CANDIDATES.schema)) as out:
            for batch in rows:
                out.write_batch(batch)


def _plan(folder: Path, num_items: int, width: int) -> ScoringPlan:
    """Build a model with random weights and the plan of a night for it."""
    torch.manual_seed(7)
    shape = preset_shape("intent", num_items, FIELDS, width=width)
    items = torch.arange(num_items + 1)
    catalogue = Catalogue(
        torch.where(items > 0, 1 + items % 20, 0)[:, None], torch.where(items > 0, 1_700_000_000, 0)
    )  # fmt: skip
    weights = IntentNetwork(shape, catalogue).state_dict()
    weights["items.ids.weight"] = torch.randn(num_items + 1, width)
    names = tuple(f"item-{number}" for number in range(1, num_items + 1))
    artifact = Artifact(shape, weights, catalogue, Vocabulary(names, LABELS), {})
    model = folder / "model"
    model.mkdir(parents=True)
    return ScoringPlan(
        folder=str(model), files=save_artifact(model, artifact), fields=FIELDS, items=("", *names),
        prior=Prior(12.0, 1.0), bias_V=np.random.default_rng(1).random(num_items + 1).astype(np.float32),
        allowed=np.arange(num_items + 1) > 0, filler=np.arange(1, num_items + 1),
        filler_scores=np.linspace(0.9, 0.1, num_items, dtype=np.float32), k=K,
    )  # fmt: skip


def _write_histories(path: Path, num_users: int, num_items: int) -> None:
    """Write users in parts, so that the writing needs no more memory for more of them."""
    random = np.random.default_rng(2)
    schema = pa.schema(
        [("user_id", pa.string()), ("made_from", pa.int64())]
        + [(name, pa.list_(pa.int64())) for name in ("items", "times", "features", "seen")]
    )
    with pq.ParquetWriter(path, schema) as out:
        for start in range(0, num_users, 20_000):
            users = np.arange(start, min(start + 20_000, num_users))
            lengths = np.minimum(np.ceil(np.exp(random.normal(2.5, 1.1, len(users)))), 100).astype(np.int64)
            values = {
                "items": random.integers(1, num_items + 1, lengths.sum()),
                "times": 1_700_000_000 + np.arange(lengths.sum()) * 600,
                "features": random.integers(0, 4, 2 * lengths.sum()),
                "seen": random.integers(1, num_items + 1, lengths.sum()),
            }
            columns = [_ragged(own, lengths * (len(own) // len(values["items"]))) for own in values.values()]
            names = pa.array([f"user-{number:09d}" for number in users])
            out.write_table(pa.Table.from_arrays([names, pa.array(users), *columns], schema=schema))


def _ragged(values: np.ndarray, lengths: np.ndarray) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _session(**more: str) -> SparkSession:
    conf = {"spark.sql.shuffle.partitions": "8", "spark.driver.memory": "4g", "spark.ui.enabled": "false"}
    spark, _ = start_spark("nightly scoring", f"local[{CORES}]", conf | more)
    return spark


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        _memory_job(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(run_benchmark("nightly_scoring", main, figures=FIGURES))
