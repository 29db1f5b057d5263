"""One round learnt: rows on disk, the project's own training loop, its prior; finished steps are taken up again."""

import json
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from intentrec.cluster.heads import rows_of
from intentrec.cluster.judging import JudgedDay
from intentrec.cluster.mixing import fit_mix
from intentrec.cluster.priors import Prior
from intentrec.cluster.recommenders import ModelRecommender, encoded
from intentrec.cluster.training import continued, forget_training, network_shape, training_job, training_settings
from intentrec.examples.arrays import EventArrays, write_rows
from intentrec.model.batches import Shard
from intentrec.model.checkpoint import Artifact, load_artifact, save_catalogue, save_vocabulary
from intentrec.model.distributed import Launch, launch
from intentrec.model.inference import Scorer
from intentrec.model.job import Settings, TrainingJob
from intentrec.model.shape import Field, NetworkShape
from intentrec.model.training import run_jobs
from protocols.figures import write_text
from protocols.heads import head_figures, label_floors
from protocols.rounds import Round, has_targets
from protocols.settings import QualityConfig

_WARMUP_STEPS = 10  # of an update: an hour of a log is some 30 steps
_LOG = logging.getLogger("quality")


@dataclass(frozen=True)
class Learned:
    """A model ready to be judged: with its prior, and alone; and what it took."""

    recommender: ModelRecommender
    alone: ModelRecommender
    notes: dict[str, float]


class Learner:
    """Trains round after round in one folder; a later round may start from the weights of the one before."""

    def __init__(self, folder: Path, config: QualityConfig, *, timed: bool) -> None:
        """``timed``: whether the log's times are real; if not, the network does not read them."""
        self.folder, self.config, self.timed = folder, config, timed
        self.last: Path | None = None
        self.prior: Prior | None = None

    def learn(self, one: Round) -> Learned:
        """Train, choose, fit the prior, train on."""
        self._check_mix(one)
        settings = training_settings(self.config.training, self.config.model.intent_weight)
        settings = replace(settings, threads=self.config.protocol.threads)
        notes: dict[str, float] = {}
        chosen = self.last
        if one.learn is not None:
            warm = self.last if one.warm else None
            chosen, notes = self._trained(one, settings, one.name, (one.learn, one.check), warm)
        assert chosen is not None, "the first round learns"
        served, prior = chosen, self.prior
        scorer = Scorer(load_artifact(chosen))
        trying = [self._mixed(day) for day in one.trying if len(day.users)]
        if (one.fits or self.prior is None) and trying:
            started = time.monotonic()
            prior, quality = self._fitted(one.name, scorer, trying, one.numbers.fields)
            notes |= {"fit_s": time.monotonic() - started, "validation_ndcg": quality}
            _LOG.info("%s: prior %s, validation NDCG %.4f", one.name, _shown(prior), quality)
        if one.more is not None and self.config.protocol.refit and has_targets(one.more):
            settings = replace(
                continued(settings),
                learning_rate=settings.learning_rate * self.config.protocol.update_rate,
                events_per_batch=self.config.protocol.update_batch,
                warmup_steps=_WARMUP_STEPS,
            )
            served, more = self._trained(one, settings, f"{one.name}-refit", (one.more, None), chosen)
            notes |= {f"refit_{name}": value for name, value in more.items()}
            scorer = Scorer(load_artifact(served))
        if not one.aside:
            self.last, self.prior = served, prior
        prior = prior or Prior(half_life_hours=1.0, weight=0.0)  # nothing was there to fit one on
        if prior.center and trying:
            queries = [encoded(scorer, one.numbers.fields, day.users) for day in trying]
            prior = prior.around(torch.cat(queries))
        alone = replace(prior, weight=0.0, shrink_events=0.0, center=(), evidence=())
        fields = one.numbers.fields
        notes |= self._heads(one, load_artifact(chosen), load_artifact(served))
        return Learned(
            ModelRecommender("model", scorer, fields, prior), ModelRecommender("network", scorer, fields, alone), notes
        )

    def passed(self, one: Round) -> None:
        """Go on from a round whose figures are kept, as if it had just been learnt."""
        if one.aside:
            return
        kept = self.folder / "priors" / f"{one.name}.json"
        if kept.exists():
            self.prior = _read(kept)[0]
        served = [self.folder / "models" / name for name in (f"{one.name}-refit", one.name)]
        self.last = next((folder for folder in served if folder.exists()), self.last)

    def tidy(self) -> None:
        """Remove all rows, and all models but the one that the next round may start from."""
        shutil.rmtree(self.folder / "rows", ignore_errors=True)
        for folder in (self.folder / "models").iterdir():
            if folder.is_dir() and folder != self.last:
                shutil.rmtree(folder)

    def _heads(self, one: Round, chosen: Artifact, served: Artifact) -> dict[str, float]:
        """Return how good the intent heads are, and what their labels are guessed by without a model.

        Calibrations are fitted on what ``chosen`` has not learnt from; ``served`` may have.
        """
        if one.test is None or one.check is None or not served.shape.heads:
            return {}
        check = self._shards(f"{one.name}-validation", one.check, 1)
        known_N = np.where(one.test.items_N > served.shape.num_items, 0, one.test.items_N)
        test = self._shards(f"{one.name}-test", replace(one.test, items_N=known_N), 1)
        found = head_figures((chosen, check), (served, test))
        if one.learn is not None:
            learn = self._shards(f"{one.name}-train", one.learn, 1)
            found |= label_floors(served.shape, served.catalogue, rows_of(learn), rows_of(test))
        return found

    def _fitted(
        self, name: str, scorer: Scorer, trying: Sequence[JudgedDay], fields: tuple[Field, ...]
    ) -> tuple[Prior, float]:
        """Return the prior and its NDCG; one that is kept is not fitted again."""
        kept = self.folder / "priors" / f"{name}.json"
        if kept.exists():
            return _read(kept)
        prior, quality = fit_mix(scorer, fields, trying, self.config.protocol.k[0], self.prior)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps({"prior": asdict(prior), "ndcg": quality}))
        return prior, quality

    def _check_mix(self, one: Round) -> None:
        """End the program, before anything is trained, where the mix names evidence that the lists do not carry."""
        there = sorted({name for day in one.judged for name in day.sources})
        wrong = set(self.config.protocol.mix) - set(there)
        if one.judged and wrong:
            sys.exit(f"protocol.mix: wanted names of {there}, is {', '.join(sorted(wrong))}; no such source here")

    def _mixed(self, day: JudgedDay) -> JudgedDay:
        return replace(day, sources={name: day.sources[name] for name in self.config.protocol.mix})

    def _trained(
        self, one: Round, settings: Settings, name: str, rows: tuple[EventArrays, EventArrays | None], warm: Path | None
    ) -> tuple[Path, dict[str, float]]:
        """Return the folder of a model and what its training took; one that is finished is not trained again."""
        folder, done = self.folder / "models" / name, self.folder / "models" / f"{name}.json"
        if done.exists() and folder.exists():
            return folder, json.loads(done.read_text())
        train = self._shards(f"{name}-train", rows[0], settings.seed)
        check = () if rows[1] is None else self._shards(f"{name}-validation", rows[1], settings.seed)
        job = training_job((train, check), self._shape(one), settings, folder, warm)
        self._prepare(job, one)
        training = self.config.training
        (results,) = launch(run_jobs, (job,), Launch(training.workers, training.launcher))[:1]
        (result,) = results
        notes = {
            "train_s": sum(epoch.seconds for epoch in result.epochs),
            "epochs": float(len(result.epochs)),
            "best_epoch": float(result.best_epoch),
            "rows": float(result.epochs[-1].rows),
        }
        for epoch in result.epochs:
            notes[f"curve_{epoch.epoch:03d}_train_loss"] = epoch.train_loss["item"]
            if epoch.validation_loss is not None:
                notes[f"curve_{epoch.epoch:03d}_validation_loss"] = epoch.validation_loss
        for note in result.notes:
            _LOG.warning("%s: %s", name, note)
        write_text(done, json.dumps(notes))
        forget_training((job,))
        return folder, notes

    def _shape(self, one: Round) -> NetworkShape:
        shape = network_shape(one.numbers, self.config.model)
        if self.timed:
            return shape
        heads = tuple(head for head in shape.heads if head != "item_age")
        return replace(shape, read_time=False, short_term_days=None, heads=heads)

    def _shards(self, name: str, events: EventArrays, seed: int) -> tuple[Shard, ...]:
        folder = self.folder / "rows" / name
        files = write_rows(events, self.config.examples.history_length, folder, seed)
        split = name.rpartition("-")[2]
        return tuple(
            Shard(split, file.bucket, (file.path.resolve().as_uri(),), file.rows, file.row_id_sum) for file in files
        )

    def _prepare(self, job: TrainingJob, one: Round) -> None:
        Path(job.catalogue).parent.mkdir(parents=True, exist_ok=True)
        save_catalogue(Path(job.catalogue), one.numbers.catalogue)
        save_vocabulary(Path(job.vocabulary), one.numbers.vocabulary)


def _read(kept: Path) -> tuple[Prior, float]:
    values = json.loads(kept.read_text())
    evidence, center = tuple(map(tuple, values["prior"]["evidence"])), tuple(values["prior"]["center"])
    return Prior(**{**values["prior"], "evidence": evidence, "center": center}), values["ndcg"]


def _shown(prior: Prior) -> str:
    evidence: Sequence[str] = [f"{name} {weight:g}" for name, weight in prior.evidence]
    center = ", centred" if prior.center else ""
    return (
        f"popularity {prior.weight:g} (half-life {prior.half_life_hours:g} h), shrink {prior.shrink_events:g}{center}"
        f"; evidence: {', '.join(evidence) or 'none'}"
    )
