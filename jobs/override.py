"""A person's word over the gate's: withdraws published lists, pins or demotes a model. Safe to run again."""

import argparse
import sys
from datetime import timedelta

from pyspark.sql import functions as F

from intentrec.errors import InputError
from intentrec.gate import BY_GATE, DEMOTED, LIFTED, PINNED, WITHDRAWN, champion_before
from intentrec.io.checks import renew_checks
from intentrec.ledger import PUBLISHED, Errand, Model, Run, decision_time, find_model, run_errand, tonight, withdrawal
from intentrec.model.manifest import verify_folder
from intentrec.tables import GATE_DECISIONS, MODELS, RECOMMENDATIONS

_SHOWN = 5  # models or dates that an error names
_LONGEST = 500  # characters of a reason


def override(run: Run, flags: argparse.Namespace) -> dict[str, int]:
    """Record what was asked for, then do it: a run that is killed in between is repeated by the same command."""
    run.warehouse.create([MODELS, GATE_DECISIONS, *PUBLISHED])
    if flags.withdraw:
        return _withdraw(run, flags.reason)
    if flags.lift:
        return _lift(run, flags.reason)
    recorded = _pin(run, flags.pin, flags.reason) if flags.pin is not None else _demote(run, flags.demote, flags.reason)
    tomorrow = run.run_date + timedelta(days=1)
    champion = champion_before(run.warehouse.read(GATE_DECISIONS), tomorrow).first()
    run.log(f"the champion of the nights after {run.run_date}: {champion['model_id'] if champion else 'none'}")
    return {"decisions": recorded}


def _withdraw(run: Run, reason: str) -> dict[str, int]:
    lists = tonight(run, RECOMMENDATIONS)
    maker, before = lists.select("model_id").first(), withdrawal(run)
    if maker is None and before is None:
        dates = run.warehouse.read(RECOMMENDATIONS).select("run_date").distinct().orderBy(F.desc("run_date"))
        published = ", ".join(str(row["run_date"]) for row in dates.take(_SHOWN))
        raise InputError(
            f"table recommendations: no lists of {run.run_date} are published, wanted some to withdraw; published are "
            f"those of {published or 'no night'}"
        )
    recorded = 0
    if before is None and maker is not None:
        renew_checks(run.warehouse, GATE_DECISIONS)
        recorded = _record(run, (WITHDRAWN, maker["model_id"], None), reason)
    num_lists = lists.count()
    for table in reversed(PUBLISHED):  # the lists first; again where a run was killed on its way
        run.warehouse.delete(table, run_date=run.run_date)
    if maker is None:
        run.log(f"the lists of {run.run_date} were withdrawn before: {before['reason'] if before else reason}")
    else:
        run.log(f"the lists of {run.run_date} are withdrawn: readers find the newest date that is left")
    return {"decisions": recorded, "lists": num_lists}


def _lift(run: Run, reason: str) -> dict[str, int]:
    withdrawn = withdrawal(run)
    if withdrawn is None:
        raise InputError(
            f"table gate_decisions: the lists of {run.run_date} are not withdrawn, wanted a withdrawal to lift"
        )
    renew_checks(run.warehouse, GATE_DECISIONS)
    run.log(f"lifted; jobs/nightly.py --run-date {run.run_date} publishes the lists again")
    return {"decisions": _record(run, (LIFTED, withdrawn["model_id"], None), reason)}


def _pin(run: Run, model_id: str, reason: str) -> int:
    model = _model(run, model_id)
    if model.run_date > run.run_date:
        raise InputError(
            f"table models: model_id {model_id} was trained for {model.run_date}, after {run.run_date}, wanted one "
            "that knows nothing of later nights; pin it with a later --run-date"
        )
    verify_folder(model.folder, model.files)
    refits = run.warehouse.read(MODELS).where(F.col("challenger_id") == F.lit(model_id)).orderBy(F.desc("created_at"))
    refit = refits.where(F.col("run_date") <= F.lit(run.run_date)).first()
    serving = model_id if refit is None else refit["model_id"]
    if refit is not None:
        verify_folder(_model(run, serving).folder, _model(run, serving).files)
    return _record(run, (PINNED, model_id, serving), reason)


def _demote(run: Run, model_id: str, reason: str) -> int:
    _model(run, model_id)
    named = (F.col("model_id") == F.lit(model_id)) | (F.col("serving_model_id") == F.lit(model_id))
    made = F.col("verdict").isin("promoted", PINNED) & (F.col("run_date") <= F.lit(run.run_date))
    if run.warehouse.read(GATE_DECISIONS).where(named & made).isEmpty():
        raise InputError(
            f"table gate_decisions: model_id {model_id} was neither promoted nor pinned up to {run.run_date}, "
            "wanted one that serves or has served; see gate_decisions"
        )
    return _record(run, (DEMOTED, model_id, None), reason)


def _model(run: Run, model_id: str) -> Model:
    model = find_model(run, model_id)
    if model is None:
        newest = run.warehouse.read(MODELS).orderBy(F.desc("run_date"), F.desc("created_at")).take(_SHOWN)
        known = ", ".join(f"{row['model_id']} ({row['kind']} of {row['run_date']})" for row in newest)
        raise InputError(f"table models: model_id {model_id} is missing, wanted a trained one: {known or 'none yet'}")
    return model


def _record(run: Run, decision: tuple[str, str, str | None], reason: str) -> int:
    """Append the decision, unless the last one of a person on this night says the same; return how many were added."""
    verdict, model_id, serving = decision
    by_person = tonight(run, GATE_DECISIONS).where(~F.col("verdict").isin(*BY_GATE)).orderBy(F.desc("decided_at"))
    last = by_person.first()
    if last is not None and (last["verdict"], last["model_id"], last["reason"]) == (verdict, model_id, reason):
        run.log(f"{verdict} {model_id}: recorded before, for the same reason")
        return 0
    figures: list[tuple[str, float]] = []
    row = (run.run_date, model_id, verdict, None, serving, figures, reason, run.run_id, decision_time(run))
    run.warehouse.append(GATE_DECISIONS, run.spark.createDataFrame([row], GATE_DECISIONS.schema))
    run.log(f"{verdict} {model_id}: {reason}")
    return 1


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.description = "Overrides the gate, with a reason: withdraws the lists of a night, pins or demotes a model."
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--withdraw", action="store_true", help="take the published lists of the run date away")
    what.add_argument("--lift", action="store_true", help="let the lists of the run date be published again")
    what.add_argument("--pin", metavar="MODEL_ID", help="champion of the nights after the run date, until a better one")
    what.add_argument("--demote", metavar="MODEL_ID", help="end what was promoted or pinned up to the run date")
    parser.add_argument("--reason", type=_reason, required=True, help="one sentence, kept in gate_decisions for good")


def _reason(text: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > _LONGEST:
        raise argparse.ArgumentTypeError(f"must be a sentence of at most {_LONGEST} characters, is {text[:40]!r}")
    return said


ERRAND = Errand(name="override", body=override, flags=_flags)

if __name__ == "__main__":
    sys.exit(run_errand(ERRAND))
