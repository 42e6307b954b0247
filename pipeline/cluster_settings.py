"""The resources of steps on a cluster, and nothing that a result depends on."""

from pydantic import Field

from pipeline.section import Section


class StepNeeds(Section):
    """The resources that a cluster reserves for a step; 0 GB reserves no memory."""

    cpus: float = Field(default=1.0, ge=0)  # ours
    gpus: float = Field(default=0.0, ge=0)  # ours
    memory_gb: float = Field(default=0.0, ge=0)  # ours


class ClusterSettings(Section):
    """Resources of steps on a Ray cluster (docs/scaling.md); ignored on one machine."""

    stages: dict[str, StepNeeds] = Field(default_factory=dict)  # ours: {"training": {"gpus": 1, "memory_gb": 16}}
    others: StepNeeds = StepNeeds()  # ours: stages not named
