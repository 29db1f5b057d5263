"""A training from its first to its best epoch, the same code on every rank.

T terms of the loss: item, then each head
"""

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from intentrec.errors import TrainingError
from intentrec.model.auxiliary import count_transitions
from intentrec.model.batches import Batch, seed_of
from intentrec.model.checkpoint import Artifact, load_artifact, load_catalogue, load_vocabulary, save_artifact
from intentrec.model.clusters import cluster_items, item_contexts
from intentrec.model.job import EpochFigures, RankFigures, TrainingJob, TrainingResult, check_sizes
from intentrec.model.network import IntentNetwork
from intentrec.model.pace import Pace, epoch_line
from intentrec.model.patience import Patience
from intentrec.model.ranks import Ranks, agree_on, cuda_or_cpu, on_first_rank, own_threads, repeatable
from intentrec.model.resume import Progress, Saved, load_newest, save_checkpoint
from intentrec.model.schedule import Plan, RowCheck, epoch_batches, in_touch, judged_share, outgrown, plans_of, thinned
from intentrec.model.steps import Learnt, Optimiser
from intentrec.model.targets import terms_of
from intentrec.model.validation import (
    Validation,
    check_finite,
    count_labels,
    count_targets,
    majority_labels,
    no_labels,
    validate,
)
from intentrec.model.warm_start import obstacle, start_from

_LOG = logging.getLogger("intentrec.model")
_RATE_SHARE = "rate_share"  # a fact of the artifact: the last epoch's share of the learning rate


def run_jobs(ranks: Ranks, jobs: tuple[TrainingJob, ...]) -> tuple[TrainingResult, ...]:
    """Train one job after the other on the same ranks: starting them costs some 15 s. Raises what ``run_rank`` does."""
    return tuple(run_rank(ranks, job) for job in jobs)


def run_rank(ranks: Ranks, job: TrainingJob) -> TrainingResult:
    """Train on this rank's share of the rows; rank 0 writes the artifact.

    Raises:
        TrainingError: rows were lost or doubled, too many steps were not finite, or the ranks ended with other weights.
        InputError: the catalogue, the vocabulary or the model of ``warm_start`` is broken.
        SetupError: petastorm is missing, or a folder cannot be written.
    """
    with own_threads(job.settings.threads, ranks), repeatable(cuda_or_cpu(ranks)):
        return _Training(ranks, job).run()


class _Training:
    """The parts of one training that live as long as it does."""

    def __init__(self, ranks: Ranks, job: TrainingJob) -> None:
        self.ranks, self.job, self.device = ranks, job, cuda_or_cpu(ranks)
        self.catalogue = load_catalogue(Path(job.catalogue))
        self.vocabulary = load_vocabulary(Path(job.vocabulary))
        check_sizes(job, self.catalogue.num_items, len(self.vocabulary.items))
        torch.manual_seed(job.settings.seed)
        network = IntentNetwork(job.shape, self.catalogue)
        self.patience, self.rate_share = Patience.of(job.settings), 1.0
        self.notes: list[str] = []
        self.progress = Progress(threads=torch.get_num_threads())
        self.pace, self.stopped = Pace(ranks, job.settings.time_limit_minutes), False
        self._warm_start(network)
        self.network = network.to(self.device)
        self.catalogue = self.catalogue.to(self.device)
        self.label_counts = no_labels(self.network)
        self.best: dict[str, Tensor] = {}
        sizes = (job.settings.events_per_batch, job.settings.read_timeout_s)
        self.train = plans_of(job.train, ranks, *sizes)
        self.validation = plans_of(job.validation, ranks, *sizes)
        if not self.train:
            raise TrainingError("examples: no rows to train on; widen examples.window_days or check the input")
        self.notes += filter(None, [outgrown(self.train, ranks, job.settings.events_per_batch)])
        self._find_clusters()
        self.optimiser = Optimiser(self.network, self.catalogue, ranks, job.settings, self._learnt())

    def run(self) -> TrainingResult:
        self._resume()
        resumed_after = self.progress.epoch
        while not self._finished():
            self._epoch(self.progress.epoch + 1)
        weights_sha256 = agree_on(self.ranks, self.best)
        files = on_first_rank(self.ranks, self._save, self._num_bytes(), self.job.output)
        return TrainingResult(
            files=self.ranks.gather(files)[0],
            epochs=tuple(self.progress.figures),
            best_epoch=self.progress.best_epoch,
            ranks=tuple(self.ranks.gather(self._own_figures())),
            weights_sha256=weights_sha256,
            warm_started=self.progress.warm_started,
            resumed_after=resumed_after,
            notes=tuple(self.notes),
        )

    def _find_clusters(self) -> None:
        """Pass over the rows once to find which items are met together, where a head predicts it."""
        if "cluster" not in self.job.shape.heads:
            return
        shape, seed = self.job.shape, self.job.settings.seed
        contexts_VE, counts_V = item_contexts(self._whole_pass(self.train), shape.num_items, self.ranks, seed)
        clusters_V = cluster_items(contexts_VE, counts_V, shape.clusters, seed, self.catalogue.clusters_V)
        clusters_V = self.ranks.broadcast(clusters_V)
        self.catalogue = replace(self.catalogue, clusters_V=clusters_V.to(self.device))

    def _learnt(self) -> Learnt:
        """Pass over the rows once for each thing that has to be known before the first step."""
        settings, shape = self.job.settings, self.job.shape
        counts_V = transitions = None
        if settings.loss != "full" and settings.mixed_negatives:
            batches = (batch.to(self.device) for batch in self._whole_pass(self.train))
            counts_V = self.ranks.sum(count_targets(shape, self.catalogue, batches))
        if settings.transition_weight:
            found = count_transitions(self._whole_pass(self.train), shape.num_items, self.ranks)
            transitions = found.to(self.device)
        return Learnt(counts_V, transitions)

    def _warm_start(self, network: IntentNetwork) -> None:
        if self.job.warm_start is None:
            return
        old = load_artifact(Path(self.job.warm_start))
        why_not = obstacle(old, self.job.shape, self.vocabulary)
        if why_not is None:
            start_from(network, old)
            self.catalogue = replace(self.catalogue, clusters_V=old.catalogue.clusters_V)
            self.rate_share = old.facts.get(_RATE_SHARE, 1.0) if self.job.settings.keep_rate else 1.0
            self.progress.warm_started = True
        else:
            self.notes.append(f"no warm start from {self.job.warm_start}: {why_not}; trained from nothing")

    def _resume(self) -> None:
        """Take up the newest intact checkpoint on rank 0, and give every rank the same numbers."""
        progress, found = self.progress, False

        def load() -> tuple[Saved | None, tuple[str, ...]]:
            return load_newest(Path(self.job.checkpoints), self.job.fingerprint(), progress.threads)

        newest = on_first_rank(self.ranks, load, 2 * self._num_bytes(), self.job.checkpoints)
        if newest is not None:
            saved, notes = newest
            self.notes += notes
            if saved is not None:
                progress, found, self.best = saved.progress, True, saved.best
                self.network.load_state_dict(saved.weights)
                for name, value in self.optimiser.state().items():
                    value.copy_(saved.optimiser[name])
        self.progress, found, self.notes = self.ranks.gather((progress, found, self.notes))[0]
        for value in (*self.network.state_dict().values(), *self.optimiser.state().values()):
            value.copy_(self.ranks.broadcast(value.clone()))
        if not found:
            return
        self.optimiser.steps = self.progress.steps
        if self.ranks.rank != 0:
            self.best = {name: torch.empty_like(value, device="cpu") for name, value in self._weights().items()}
        self.best = {name: self.ranks.broadcast(self.best[name]) for name in sorted(self.best)}
        for head, counts in self.progress.label_counts.items():
            self.label_counts[head] = torch.tensor(counts, dtype=torch.float64)

    def _finished(self) -> bool:
        progress = self.progress
        if not progress.epoch:
            return False
        over = self.patience.is_over(progress.figures) or progress.epoch >= self._most_epochs()
        return self.stopped or over or self._is_over()

    def _most_epochs(self) -> int:
        settings = self.job.settings
        return (settings.warm_epochs if self.progress.warm_started else None) or settings.epochs

    def _is_over(self, epoch: int | None = None, step: int = 0) -> bool:
        """Return whether the time is up, and note where that was: between two epochs, or within one."""
        if not self.pace.is_over(step):
            return False
        self.stopped = True
        limit, place = self.job.settings.time_limit_minutes, f"epoch {self.progress.epoch}"
        place = place if epoch is None else f"{step} of {sum(plan.steps for plan in self.train)} steps of epoch {epoch}"
        self.notes.append(f"training.time_limit_minutes: the {limit:g} minutes were over after {place}")
        return True

    def _epoch(self, epoch: int) -> None:
        self.pace.begin_epoch()
        if self.patience.fell(self.progress.figures):
            self.network.load_state_dict(self.best)
        self.optimiser.rate_share = self.rate_share * self.patience.share(self.progress.figures)
        losses, skipped, rows = self._learn(epoch)
        judged = self._judge() if self.validation else None
        figures = EpochFigures(
            epoch=epoch,
            train_loss=losses,
            validation_loss=None if judged is None else judged.item_loss,
            validation_ndcg=None if judged is None else judged.ndcg,
            heads={} if judged is None else judged.heads,
            rows=rows,
            skipped_steps=skipped,
            seconds=self.pace.seconds(),
        )
        check_finite(figures, self.network)
        self._advance(figures)

    def _advance(self, figures: EpochFigures) -> None:
        """Record an epoch, keep its weights if they are the best so far, write its checkpoint."""
        progress, by = self.progress, self.job.settings.stop_by
        found, earlier = figures.badness(by), [then.badness(by) for then in progress.figures]
        progress.epoch, progress.steps = figures.epoch, self.optimiser.steps
        progress.figures.append(figures)
        if found is None or all(then is None or found < then for then in earlier):
            progress.best_epoch = figures.epoch
            self.best = {name: value.clone() for name, value in self._weights().items()}
        if self.ranks.rank == 0:
            _LOG.info(epoch_line(figures, self._most_epochs()))
        if not self.stopped:
            on_first_rank(self.ranks, self._save_checkpoint, self._num_bytes(), self.job.checkpoints)

    def _save_checkpoint(self) -> None:
        optimiser = {name: value.cpu() for name, value in self.optimiser.state().items()}
        saved = Saved(self.progress, self._weights(), optimiser, self.best)
        save_checkpoint(Path(self.job.checkpoints), self.job.fingerprint(), saved)

    def _num_bytes(self) -> int:
        """Return the bytes of a checkpoint: weights, the best ones, and two moments of each."""
        return sum(4 * value.numel() * value.element_size() for value in self.network.state_dict().values())

    def _learn(self, epoch: int) -> tuple[dict[str, float], int, int]:
        """Pass over the training rows once; return mean losses by term, steps skipped, rows of all ranks."""
        settings, terms = self.job.settings, terms_of(self.job.shape)
        torch.manual_seed(seed_of(settings.seed, "dropout", epoch, self.ranks.rank))
        self.network.train()
        losses_T = torch.zeros(len(terms), dtype=torch.float64)
        weights_T = torch.zeros(len(terms), dtype=torch.float64)
        skipped, check, steps = 0, RowCheck(), sum(plan.steps for plan in self.train)
        for step, batch in enumerate(self._batches(self.train, epoch)):
            if step and self._is_over(epoch, step):
                break
            item_loss = float(losses_T[0] / weights_T[0]) if weights_T[0] else math.nan
            self.pace.tell(epoch, (step, steps), check.rows * self.ranks.size, item_loss)
            check.add(batch.row_ids_B)
            result = self.optimiser.step(batch.to(self.device))
            if result is None:
                skipped += 1
                continue
            losses_T += result[0].cpu()
            weights_T += result[1].cpu()
            if epoch == 1:
                count_labels(self.label_counts, result[2])
        if not weights_T[0]:
            raise TrainingError(
                f"epoch {epoch}: {skipped} of {steps} steps had a loss or gradient that is not finite, the others no "
                "weight; look for extreme weights in examples"
            )
        rows = sum(self.ranks.gather(check.rows)) if self.stopped else check.confirm(self.ranks, self.train)
        if epoch == 1:
            self.label_counts = {head: self.ranks.sum(counts) for head, counts in self.label_counts.items()}
            self.progress.label_counts = {head: counts.tolist() for head, counts in self.label_counts.items()}
        means_T = losses_T / weights_T.clamp(min=torch.finfo(torch.float64).tiny)
        return dict(zip(terms, means_T.tolist(), strict=True)), skipped, rows

    def _judge(self) -> Validation:
        """Judge the network on the validation rows, of many on the same part of them; no time limit cuts that short."""
        check, share = RowCheck(), judged_share(self.validation, self.job.shape.num_items)
        part = thinned(check.counted(self._whole_pass(self.validation)), share)
        majority = majority_labels(self.label_counts)
        judged = validate(self.network, self.catalogue, part, majority, self.ranks, self.job.settings)
        check.confirm(self.ranks, self.validation)
        return judged

    def _whole_pass(self, plans: tuple[Plan, ...]) -> Iterator[Batch]:
        """Yield the rows once, always in the same order, for work in which the ranks make no other call together."""
        return in_touch(self._batches(plans, 0), self.ranks)

    def _batches(self, plans: tuple[Plan, ...], epoch: int) -> Iterator[Batch]:
        settings = self.job.settings
        seed = seed_of(settings.seed, "rows", epoch)
        return epoch_batches(plans, self.ranks, seed, settings.read_timeout_s, self.job.shape.num_columns)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}

    def _save(self) -> tuple[tuple[str, str, int], ...]:
        facts = {"label_counts": self.progress.label_counts, "best_epoch": self.progress.best_epoch}
        # Not the optimiser's: a training that was resumed after its last epoch has not made a step.
        facts[_RATE_SHARE] = self.rate_share * self.patience.share(self.progress.figures[:-1])
        artifact = Artifact(self.job.shape, self.best, self.catalogue.to("cpu"), self.vocabulary, facts)
        return save_artifact(Path(self.job.output), artifact)

    def _own_figures(self) -> RankFigures:
        rows = sum(plan.rows[self.ranks.rank] for plan in self.train)
        files = sum(plan.files[self.ranks.rank] for plan in self.train)
        return RankFigures(self.ranks.rank, os.getpid(), str(self.device), files, rows)
