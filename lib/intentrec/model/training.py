"""A training from its first to its best epoch, the same code on every rank.

T terms of the loss: item, then each head
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from intentrec.errors import InputError, TrainingError
from intentrec.model.auxiliary import count_transitions
from intentrec.model.batches import Batch, seed_of
from intentrec.model.checkpoint import Artifact, load_artifact, load_catalogue, load_vocabulary, save_artifact
from intentrec.model.clusters import cluster_items, item_contexts
from intentrec.model.job import EpochFigures, RankFigures, TrainingJob, TrainingResult
from intentrec.model.network import IntentNetwork
from intentrec.model.ranks import Ranks, cuda_or_cpu
from intentrec.model.resume import Progress, Saved, load_newest, save_checkpoint
from intentrec.model.schedule import Plan, RowCheck, epoch_batches, plans_of
from intentrec.model.shape import Catalogue
from intentrec.model.steps import Learnt, Optimiser
from intentrec.model.targets import terms_of
from intentrec.model.validation import Validation, count_labels, count_targets, majority_labels, no_labels, validate
from intentrec.model.warm_start import obstacle, start_from

_LOG = logging.getLogger("intentrec.model")


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
    with _threads(job.settings.threads, ranks), torch.random.fork_rng():
        return _Training(ranks, job).run()


class _Training:
    """The parts of one training that live as long as it does."""

    def __init__(self, ranks: Ranks, job: TrainingJob) -> None:
        self.ranks, self.job, self.device = ranks, job, cuda_or_cpu(ranks)
        self.catalogue = load_catalogue(Path(job.catalogue))
        self.vocabulary = load_vocabulary(Path(job.vocabulary))
        _check_sizes(job, self.catalogue, len(self.vocabulary.items))
        torch.manual_seed(job.settings.seed)
        network = IntentNetwork(job.shape, self.catalogue)
        self.notes: list[str] = []
        self.progress = Progress()
        self._warm_start(network)
        self.network = network.to(self.device)
        self.catalogue = self.catalogue.to(self.device)
        self.label_counts = no_labels(self.network)
        self.best: dict[str, Tensor] = {}
        self.train = plans_of(job.train, ranks, job.settings.events_per_batch)
        self.validation = plans_of(job.validation, ranks, job.settings.events_per_batch)
        if not self.train:
            raise TrainingError("examples: no rows to train on; widen examples.window_days or check the input")
        self._find_clusters()
        self.optimiser = Optimiser(self.network, self.catalogue, ranks, job.settings, self._learnt())

    def run(self) -> TrainingResult:
        self._resume()
        resumed_after = self.progress.epoch
        while not self._finished():
            self._epoch(self.progress.epoch + 1)
        weights_sha256 = self._agree_on_weights()
        files: tuple[tuple[str, str, int], ...] = ()
        if self.ranks.rank == 0:
            files = self._save()
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
        contexts_VE, counts_V = item_contexts(self._batches(self.train, 0), shape.num_items, self.ranks, seed)
        clusters_V = cluster_items(contexts_VE, counts_V, shape.clusters, seed, self.catalogue.clusters_V)
        clusters_V = self.ranks.broadcast(clusters_V)
        self.catalogue = replace(self.catalogue, clusters_V=clusters_V.to(self.device))

    def _learnt(self) -> Learnt:
        """Pass over the rows once for each thing that has to be known before the first step."""
        settings, shape = self.job.settings, self.job.shape
        counts_V = transitions = None
        if settings.loss != "full" and settings.mixed_negatives:
            batches = (batch.to(self.device) for batch in self._batches(self.train, 0))
            counts_V = self.ranks.sum(count_targets(shape, self.catalogue, batches))
        if settings.transition_weight:
            found = count_transitions(self._batches(self.train, 0), shape.num_items, self.ranks)
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
            self.progress.warm_started = True
        else:
            self.notes.append(f"no warm start from {self.job.warm_start}: {why_not}; trained from nothing")

    def _resume(self) -> None:
        """Take up the newest intact checkpoint on rank 0, and give every rank the same numbers."""
        progress, found = self.progress, False
        if self.ranks.rank == 0:
            saved, notes = load_newest(Path(self.job.checkpoints), self.job.fingerprint())
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
        settings, progress = self.job.settings, self.progress
        out_of_patience = bool(self.validation) and progress.epoch - progress.best_epoch >= settings.patience
        most = (settings.warm_epochs if progress.warm_started else None) or settings.epochs
        return progress.epoch >= most or (progress.epoch > 0 and out_of_patience)

    def _epoch(self, epoch: int) -> None:
        started = time.monotonic()
        losses, skipped, rows = self._learn(epoch)
        judged = self._judge(epoch) if self.validation else None
        figures = EpochFigures(
            epoch=epoch,
            train_loss=losses,
            validation_loss=None if judged is None else judged.item_loss,
            heads={} if judged is None else judged.heads,
            rows=rows,
            skipped_steps=skipped,
            seconds=time.monotonic() - started,
        )
        self._advance(figures)

    def _advance(self, figures: EpochFigures) -> None:
        """Record an epoch, keep its weights if they are the best so far, write its checkpoint."""
        progress, loss = self.progress, figures.validation_loss
        earlier = [then.validation_loss for then in progress.figures if then.validation_loss is not None]
        progress.epoch, progress.steps = figures.epoch, self.optimiser.steps
        progress.figures.append(figures)
        if loss is None or not earlier or loss < min(earlier):
            progress.best_epoch = figures.epoch
            self.best = {name: value.clone() for name, value in self._weights().items()}
        if self.ranks.rank == 0:
            optimiser = {name: value.cpu() for name, value in self.optimiser.state().items()}
            saved = Saved(progress, self._weights(), optimiser, self.best)
            save_checkpoint(Path(self.job.checkpoints), self.job.fingerprint(), saved)
            _LOG.info(_line(figures, self.job.settings.epochs))

    def _learn(self, epoch: int) -> tuple[dict[str, float], int, int]:
        """Pass over the training rows once; return mean losses by term, steps skipped, rows of all ranks."""
        settings, terms = self.job.settings, terms_of(self.job.shape)
        torch.manual_seed(seed_of(settings.seed, "dropout", epoch, self.ranks.rank))
        self.network.train()
        losses_T = torch.zeros(len(terms), dtype=torch.float64)
        weights_T = torch.zeros(len(terms), dtype=torch.float64)
        skipped, check = 0, RowCheck()
        for batch in self._batches(self.train, epoch):
            check.add(batch.row_ids_B)
            result = self.optimiser.step(batch.to(self.device))
            if result is None:
                skipped += 1
                continue
            losses_T += result[0].cpu()
            weights_T += result[1].cpu()
            if epoch == 1:
                count_labels(self.label_counts, result[2])
        rows = check.confirm(self.ranks, self.train)
        if epoch == 1:
            self.label_counts = {head: self.ranks.sum(counts) for head, counts in self.label_counts.items()}
            self.progress.label_counts = {head: counts.tolist() for head, counts in self.label_counts.items()}
        means_T = losses_T / weights_T.clamp(min=torch.finfo(torch.float64).tiny)
        return dict(zip(terms, means_T.tolist(), strict=True)), skipped, rows

    def _judge(self, epoch: int) -> Validation:
        check = RowCheck()

        def counted() -> Iterator[Batch]:
            for batch in self._batches(self.validation, epoch):
                check.add(batch.row_ids_B)
                yield batch

        judged = validate(self.network, self.catalogue, counted(), majority_labels(self.label_counts), self.ranks)
        check.confirm(self.ranks, self.validation)
        return judged

    def _batches(self, plans: tuple[Plan, ...], epoch: int) -> Iterator[Batch]:
        settings = self.job.settings
        seed = seed_of(settings.seed, "rows", epoch)
        return epoch_batches(plans, self.ranks, seed, settings.read_timeout_s, self.job.shape.num_columns)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}

    def _agree_on_weights(self) -> str:
        """Return the hash of the best weights.

        Raises:
            TrainingError: a rank has others.
        """
        digest = hashlib.sha256()
        for name in sorted(self.best):
            digest.update(name.encode() + self.best[name].numpy().tobytes())
        hashes: list[str] = self.ranks.gather(digest.hexdigest())
        if len(set(hashes)) > 1:
            raise TrainingError(f"the ranks ended with {len(set(hashes))} different sets of weights; run again")
        return hashes[0]

    def _save(self) -> tuple[tuple[str, str, int], ...]:
        facts = {"label_counts": self.progress.label_counts, "best_epoch": self.progress.best_epoch}
        artifact = Artifact(self.job.shape, self.best, self.catalogue.to("cpu"), self.vocabulary, facts)
        files = save_artifact(Path(self.job.output), artifact)
        shutil.rmtree(self.job.checkpoints, ignore_errors=True)
        return files

    def _own_figures(self) -> RankFigures:
        rows = sum(plan.rows[self.ranks.rank] for plan in self.train)
        files = sum(plan.files[self.ranks.rank] for plan in self.train)
        return RankFigures(self.ranks.rank, os.getpid(), str(self.device), files, rows)


def _check_sizes(job: TrainingJob, catalogue: Catalogue, num_names: int) -> None:
    """Raise InputError where the files of a job do not belong together."""
    for place, size in ((job.catalogue, catalogue.num_items), (job.vocabulary, num_names)):
        if size != job.shape.num_items:
            raise InputError(f"{place}: has {size} items, the network {job.shape.num_items}; run build_examples again")


def _line(figures: EpochFigures, epochs: int) -> str:
    losses = ", ".join(f"{term} {loss:.4f}" for term, loss in figures.train_loss.items())
    held_out = "" if figures.validation_loss is None else f"; validation item loss {figures.validation_loss:.4f}"
    return (
        f"epoch {figures.epoch} of at most {epochs}: {figures.rows} rows in {figures.seconds:.1f} s; "
        f"losses: {losses}{held_out}"
    )


@contextmanager
def _threads(wanted: int | None, ranks: Ranks) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or max(1, len(os.sched_getaffinity(0)) // ranks.local_size))
    try:
        yield
    finally:
        torch.set_num_threads(before)
