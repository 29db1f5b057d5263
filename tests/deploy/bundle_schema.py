"""The part of the published schema of Databricks bundles that ours uses, written down; any other key is refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PythonFile(Strict):
    python_file: str
    parameters: list[str]


class RunJob(Strict):
    job_id: str
    job_parameters: dict[str, str]


class Dependency(Strict):
    task_key: str


class Wheel(Strict):
    whl: str


class Task(Strict):
    task_key: str
    depends_on: list[Dependency] = []
    job_cluster_key: str | None = None
    max_retries: int = 0
    libraries: list[Wheel] = []
    spark_python_task: PythonFile | None = None
    run_job_task: RunJob | None = None


class Destination(Strict):
    destination: str


class InitScript(Strict):
    workspace: Destination


class NewCluster(Strict):
    spark_version: str
    node_type_id: str
    num_workers: int
    data_security_mode: Literal["SINGLE_USER", "USER_ISOLATION"]
    spark_conf: dict[str, str]
    spark_env_vars: dict[str, str] = {}
    custom_tags: dict[str, str]
    init_scripts: list[InitScript]


class JobCluster(Strict):
    job_cluster_key: str
    new_cluster: NewCluster


class Emails(Strict):
    on_failure: list[str] = Field(min_length=1)
    no_alert_for_skipped_runs: bool = False


class Schedule(Strict):
    quartz_cron_expression: str
    timezone_id: str
    pause_status: Literal["PAUSED", "UNPAUSED"]


class Parameter(Strict):
    name: str
    default: str


class Queue(Strict):
    enabled: bool


class Job(Strict):
    name: str
    description: str
    max_concurrent_runs: Literal[1]
    queue: Queue | None = None
    timeout_seconds: int
    tags: Annotated[dict[str, str], Field(min_length=1)]
    email_notifications: Emails
    schedule: Schedule | None = None
    parameters: list[Parameter]
    job_clusters: list[JobCluster]
    tasks: list[Task]


class Variable(Strict):
    description: str
    default: str


class Artifact(Strict):
    type: Literal["whl"]
    path: str
    build: str


class Workspace(Strict):
    root_path: str


class Target(Strict):
    mode: Literal["development", "production"]
    default: bool = False
    workspace: Workspace | None = None
    variables: dict[str, str] = {}


class Bundle(Strict):
    bundle: dict[Literal["name"], str]
    include: list[str]
    sync: dict[Literal["paths"], list[str]]
    artifacts: dict[str, Artifact]
    variables: dict[str, Variable]
    targets: dict[str, Target]
