"""The protocol of a study: eligibility criteria, consent forms, toxicity, follow-up, reminders, accrual target."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from shared.kernel.fact import FactPart
from shared.kernel.ids import Code, SiteId
from shared.kernel.partial_date import Day
from shared.kernel.patterns import explain_pattern
from shared.kernel.presentation import Presentation
from shared.kernel.schema_name import make_class
from shared.kernel.text import LongText

_TIME_OF_DAY = explain_pattern("^([01][0-9]|2[0-3]):[0-5][0-9]$", "Give a time of day as HH:MM, such as 08:00.")
Delivery = Annotated[
    Literal["conventional", "hypofractionated", "FSRT", "SBRT", "SRS", "brachytherapy"],
    Presentation(
        words={
            "FSRT": "Fractionated stereotactic (FSRT)",
            "SBRT": "Stereotactic body radiotherapy (SBRT)",
            "SRS": "Radiosurgery (SRS)",
        }
    ),
]
SurvivalOrigin = Annotated[
    Literal["rt_start", "diagnosed", "enrolled", "rt_end"],
    Presentation(
        words={
            "rt_start": "Start of radiotherapy",
            "diagnosed": "Diagnosis",
            "enrolled": "Enrollment",
            "rt_end": "End of radiotherapy",
        }
    ),
]
_SHORTEST_GAPS = (
    "28 59 89 120 150 181 212 242 273 303 334 365 393 424 454 485 515 546 577 607 638 668 699 730"  # 1 to 24 months
)
SHORTEST_GAP_DAYS = tuple(map(int, _SHORTEST_GAPS.split()))
"""The fewest days between two targets that are 1 to 24 months apart, over all anchors."""


class Criterion(FactPart):
    """A criterion of eligibility."""

    id: Annotated[Code, Presentation(label="Id of the criterion", help="Short name without blanks, such as age.")]
    """Id of the criterion, by which screenings answer it."""
    text: Annotated[LongText, Presentation(lines=3)]
    """The criterion in words."""
    kind: Annotated[Literal["inclusion", "exclusion"], Presentation(label="Inclusion or exclusion")]
    """Inclusion or exclusion criterion."""


class ConsentVersion(FactPart):
    """A version of the consent form, valid until the next version is."""

    version: Code
    """Name of the version."""
    valid_from: Day
    """First day on which the version is signed."""


class ToxicityPlan(FactPart, schema_name="Toxicity"):
    """Grading of toxicity: the dictionary and the checklist."""

    dictionary: Annotated[
        Literal["ctcae-3.0", "ctcae-4.03", "ctcae-5.0", "ctcae-6.0"],
        Presentation(
            label="Version of CTCAE",
            words={
                "ctcae-3.0": "CTCAE 3.0",
                "ctcae-4.03": "CTCAE 4.03",
                "ctcae-5.0": "CTCAE 5.0",
                "ctcae-6.0": "CTCAE 6.0",
            },
        ),
    ]
    """Version of CTCAE in which toxicity is graded."""
    checklist: tuple[Annotated[Code, Presentation(label="Term", offers="dictionary_terms")], ...] = ()
    """Terms that every complete assessment looks for."""


class VisitWindow(FactPart, schema_name="Window"):
    """Days around the target day of a visit within which a contact counts as in time, both ends inclusive."""

    before: Annotated[int, Field(strict=True, ge=0, le=180), Presentation(label="Days before the target day")] = 14
    """Days before the target."""
    after: Annotated[int, Field(strict=True, ge=0, le=180), Presentation(label="Days after the target day")] = 14
    """Days after the target."""


class FollowUpPlan(FactPart, schema_name="FollowUp"):
    """Schedule of follow-up visits: one every so many months after the anchor."""

    anchor: Literal["index_course_end"] = "index_course_end"
    """Event from whose day visits are counted."""
    every_months: Annotated[int, Field(strict=True, ge=1, le=24), Presentation(label="Time between visits")] = 3
    """Months from one visit to the next."""
    for_months: Annotated[
        int,
        Field(strict=True, ge=1, le=120),
        Presentation(
            label="Length of follow-up", help="Time after the end of radiotherapy for which visits are planned."
        ),
    ] = 24
    """Months after the anchor for which visits are planned."""
    window_days: Annotated[VisitWindow | tuple[VisitWindow, ...], Presentation(label="Visit windows")] = VisitWindow()
    """Visit window of all visits, or one for each visit in order."""
    anchor_policy: Annotated[
        Literal["index", "latest", "per_course"],
        Presentation(
            label="Visits are counted from",
            help="The index course is the course that the study is about.",
            words={
                "index": "The end of the index course",
                "latest": "The end of the latest course",
                "per_course": "The end of each course, with visits of its own",
            },
        ),
    ] = "index"
    """Course whose end is the anchor: the index course, the latest course, or each course with visits of its own."""

    @property
    def windows(self) -> tuple[VisitWindow, ...]:
        """The window of each visit, in the order of the visits."""
        if isinstance(self.window_days, VisitWindow):
            return (self.window_days,) * (self.for_months // self.every_months)
        return self.window_days

    @model_validator(mode="after")
    def _require_a_window_for_each_visit(self) -> FollowUpPlan:
        if not self.windows or len(self.windows) != self.for_months // self.every_months:
            raise ValueError(
                "The number of windows does not fit the number of visits. Give one for all visits, or one for each."
            )
        return self


class ReminderPlan(FactPart, schema_name="Reminders"):
    """Reminders of visits to the sites."""

    steps: Annotated[
        tuple[Code, ...], Presentation(label="A reminder is sent", help="None: no reminders.", offers="reminder_steps")
    ] = ("open", "target", "overdue")
    """Steps at which a reminder is sent: when the visit window opens, on the target day, when the visit is overdue."""
    digest_at: Annotated[
        str,
        Field(pattern=_TIME_OF_DAY),
        Presentation(label="Time of day", help="By the clock of the site, such as 08:00."),
    ] = "08:00"
    """Time of day at the site at which reminders are sent, as HH:MM."""
    escalate_after_days: Annotated[
        int,
        Field(strict=True, ge=1, le=180),
        Presentation(
            label="Report to the study's coordinators",
            help="Days after the visit window has closed without a contact.",
        ),
    ] = 21
    """Days after which an overdue visit is reported to the coordinator."""


class AccrualTarget(FactPart):
    """Number of participants that the study plans to enroll."""

    participants: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    """Number of participants."""
    by: Annotated[Day, Presentation(label="Enrolled by")]
    """Day by which they are planned to be enrolled."""


class StereotacticDefinition(FactPart, schema_name="Stereotactic"):
    """Definition of stereotactic treatment."""

    deliveries: Annotated[tuple[Delivery, ...], Presentation(label="Counts as stereotactic")] = ("SRS", "FSRT", "SBRT")
    """Kinds of delivery that count as stereotactic."""


_RegistryLinkMembers: Any = make_class(
    "RegistryLinkMembers",
    FactPart,
    **{
        "site_id": (
            Annotated[SiteId, Presentation(label="Site", offers="sites", type_in=True)],
            Field(description="Id of the site in the study."),
        ),
        "from": (
            Annotated[Day, Presentation(label="First day")],
            Field(description="First day on which the registry reports."),
        ),
        "until": (
            Annotated[
                Day | None,
                Presentation(label="Last day", help="Left empty, the registry reports until further notice."),
            ],
            Field(default=None, description="Last day on which the registry reports; left out while it does."),
        ),
    },
)
"""The members of a registry link. `from` is a word of Python, so no statement of a class can declare it."""


class RegistryLink(_RegistryLinkMembers):  # type: ignore[misc] # a class that is made at run time
    """Link of a site to a registry that reports the deaths and the lives of its participants."""

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day on which the registry reports."""
        return getattr(self, "from"), self.until or date.max

    @model_validator(mode="after")
    def _require_days_in_order(self) -> RegistryLink:
        first, last = self.days
        if last < first:
            raise ValueError("The last day is before the first day. Give a later one, or none.")
        return self


class Protocol(FactPart):
    """The protocol of a study: its plan, as far as the software follows it.

    `met` means that a criterion does not stand in the way: an exclusion criterion is met if it is absent.
    """

    criteria: Annotated[
        tuple[Annotated[Criterion, Presentation(label="Criterion")], ...], Field(min_length=1, max_length=200)
    ]
    """Inclusion and exclusion criteria."""
    minimum_age: Annotated[int, Field(strict=True, ge=0, le=120)] = 0
    """Minimum age, in years."""
    consent_versions: Annotated[tuple[ConsentVersion, ...], Field(min_length=1, max_length=100)]
    """Versions of the consent form, each with the first day on which it is valid."""
    toxicity: Annotated[ToxicityPlan, Presentation(label="Grading of toxicity", help="By CTCAE.")]
    """Grading of toxicity: the dictionary and the checklist."""
    symptoms: tuple[Code, ...] = ()
    """Symptoms that baseline and follow-up ask for."""
    follow_up: FollowUpPlan
    """Schedule of follow-up visits."""
    reminders: ReminderPlan = ReminderPlan()
    """Reminders of visits to the sites."""
    accrual_target: AccrualTarget | None = None
    """Planned number of participants."""
    stereotactic: Annotated[StereotacticDefinition, Presentation(label="Stereotactic treatment")] = (
        StereotacticDefinition()
    )
    """Definition of stereotactic treatment."""
    survival_origin: Annotated[SurvivalOrigin, Presentation(label="Survival is counted from")] = "rt_start"
    """Event from whose day survival is counted."""
    small_cell: Annotated[
        int,
        Field(strict=True, ge=0, le=100),
        Presentation(label="Smallest count shown", help="Readers of published figures see no smaller count."),
    ] = 5
    """Least count that readers of figures see; smaller counts are suppressed."""
    registry_links: Annotated[
        tuple[Annotated[RegistryLink, Presentation(label="Registry link")], ...],
        Field(max_length=500),
        Presentation(
            label="Links to death registries",
            help="At these sites, everybody who is not known dead counts as alive. Name none without such a link.",
        ),
    ] = ()
    """Sites whose deaths and lives a registry reports. There, analyses take everybody alive who is not known dead."""

    @model_validator(mode="after")
    def _require_unique_names(self) -> Protocol:
        for names in ([c.id for c in self.criteria], [v.version for v in self.consent_versions]):
            if len(set(names)) < len(names):
                raise ValueError(
                    "Two criteria have the same id, or two consent forms the same version. Give each its own."
                )
        return self
