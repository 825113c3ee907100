"""Toxicity terms of synthetic participants in two CTCAE versions: existing grades, and weights of each grade.

Acute grades follow curative radiotherapy of the neck with chemotherapy (Fan 2020: grade 3 dermatitis in 20 %, mucositis
in 13 % of 104). One table of weights serves both versions: grades of two versions are drawn, never converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["baseline", "during_rt", "end_of_rt", "follow_up"]
Dictionary = Literal["ctcae-3.0", "ctcae-5.0"]
Cause = Literal["radiotherapy", "line", "disease"]
TermVersion = tuple[str, str]
"""The id of a term, and its grades."""
GradeWeights = tuple[float, ...]
"""Weights of grades 0, 1, 2 …"""
ONLY_GRADE_0: GradeWeights = (1,)


@dataclass(frozen=True)
class GradedTerm:
    """A term. `causes` are its possible attributions; it is graded only if `treated_region` was irradiated."""

    v3: TermVersion
    v5: TermVersion
    causes: tuple[Cause, ...]
    baseline: GradeWeights = ONLY_GRADE_0
    during_rt: GradeWeights = ONLY_GRADE_0
    end_of_rt: GradeWeights = ONLY_GRADE_0
    follow_up: GradeWeights = ONLY_GRADE_0
    treated_region: Literal["neck", "brain"] = "neck"

    def term_version(self, dictionary: Dictionary) -> TermVersion:
        return self.v3 if dictionary == "ctcae-3.0" else self.v5

    def grade_weights(self, dictionary: Dictionary, phase: Phase) -> dict[int, float]:
        """Returns the weights of the grades that the term has in the dictionary, and of grade 0."""
        weights: GradeWeights = getattr(self, phase)
        existing_grades = self.term_version(dictionary)[1]
        return {grade: weight for grade, weight in enumerate(weights) if not grade or str(grade) in existing_grades}


RADIOTHERAPY_ONLY: tuple[Cause, ...] = ("radiotherapy",)
ALL_CAUSES: tuple[Cause, ...] = ("radiotherapy", "line", "disease")
TERMS: tuple[GradedTerm, ...] = (
    GradedTerm(  # dermatitis, radiation
        ("3.0:0114", "12345"),
        ("5.0:0362", "12345"),
        RADIOTHERAPY_ONLY,
        during_rt=(35, 45, 17, 3),
        end_of_rt=(10, 35, 36, 18, 1),
        follow_up=(66, 26, 7, 1),
    ),
    GradedTerm(  # mucositis, oral
        ("3.0:0191", "12345"),
        ("5.0:0177", "12345"),
        ("radiotherapy", "line"),
        baseline=(98, 2),
        during_rt=(38, 34, 23, 5),
        end_of_rt=(20, 30, 36, 13, 1),
        follow_up=(72, 21, 6, 1),
    ),
    GradedTerm(  # dysphagia
        v3=("3.0:0150", "12345"),
        v5=("5.0:0130", "12345"),
        causes=ALL_CAUSES,
        baseline=(62, 24, 11, 3),
        during_rt=(32, 35, 24, 9),
        end_of_rt=(16, 31, 35, 17, 1),
        follow_up=(47, 29, 17, 6.5, 0.5),
    ),
    GradedTerm(  # dry mouth
        ("3.0:0149", "123"),
        ("5.0:0122", "123"),
        RADIOTHERAPY_ONLY,
        baseline=(95, 5),
        during_rt=(52, 38, 10),
        end_of_rt=(28, 47, 24, 1),
        follow_up=(33, 46, 20, 1),
    ),
    GradedTerm(  # fatigue
        v3=("3.0:0081", "1234"),
        v5=("5.0:0226", "123"),
        causes=ALL_CAUSES,
        baseline=(60, 30, 10),
        during_rt=(36, 44, 18, 2),
        end_of_rt=(26, 44, 25, 5),
        follow_up=(44, 37, 16, 3),
    ),
    GradedTerm(  # weight loss
        v3=("3.0:0090", "123"),
        v5=("5.0:0474", "123"),
        causes=ALL_CAUSES,
        baseline=(76, 18, 6),
        during_rt=(66, 25, 8, 1),
        end_of_rt=(50, 31, 16, 3),
        follow_up=(60, 25, 13, 2),
    ),
    GradedTerm(  # voice changes, hoarseness
        v3=("3.0:0811", "12345"),
        v5=("5.0:0734", "123"),
        causes=("radiotherapy", "disease"),
        baseline=(65, 25, 9, 1),
        during_rt=(56, 30, 12, 2),
        end_of_rt=(46, 36, 16, 2),
        follow_up=(55, 29, 14, 2),
    ),
    GradedTerm(  # nausea
        ("3.0:0207", "12345"),
        ("5.0:0178", "123"),
        ("line",),
        baseline=(97, 3),
        during_rt=(66, 24, 9, 1),
        end_of_rt=(74, 19, 6, 1),
        follow_up=(88, 9, 3),
    ),
    GradedTerm(  # pneumonitis
        ("3.0:0804", "12345"),
        ("5.0:0757", "12345"),
        ("radiotherapy", "line"),
        end_of_rt=(99, 1),
        follow_up=(92, 4, 3, 1),
    ),
    GradedTerm(  # low thyroid function
        ("3.0:0137", "12345"),
        ("5.0:0066", "12345"),
        RADIOTHERAPY_ONLY,
        baseline=(80, 8, 12),
        follow_up=(66, 12, 22),
    ),
    GradedTerm(  # seizure: of CTCAE 3.0 there is no grade 1
        ("3.0:0699", "2345"),
        ("5.0:0608", "12345"),
        ("radiotherapy", "disease"),
        baseline=(97, 1, 2),
        follow_up=(93, 2, 4, 1),
        treated_region="brain",
    ),
    GradedTerm(  # necrosis of the central nervous system
        ("3.0:0662", "12345"),
        ("5.0:0563", "12345"),
        RADIOTHERAPY_ONLY,
        follow_up=(95, 3, 1.5, 0.5),
        treated_region="brain",
    ),
)

PNEUMONIA = GradedTerm(
    ("3.0:0534", "2345"),
    ("5.0:0310", "2345"),
    ("line", "disease"),
    follow_up=(94, 0, 4, 2),
)
"""Infection of the lung, the cause of deaths by treatment and by other causes than the tumor."""
SERIOUS_EVENTS: dict[tuple[TermVersion, TermVersion], tuple[dict[int, float], dict[str, float]]] = {
    (PNEUMONIA.v3, PNEUMONIA.v5): ({3: 75, 4: 25}, {"hospitalisation": 90, "life_threatening": 10}),
    (("3.0:0150", "12345"), ("5.0:0130", "12345")): ({3: 95, 4: 5}, {"hospitalisation": 85, "important": 15}),
    (("3.0:0787", "12345"), ("5.0:0736", "12345")): ({3: 60, 4: 40}, {"life_threatening": 60, "hospitalisation": 40}),
    (("3.0:0804", "12345"), ("5.0:0757", "12345")): ({3: 85, 4: 15}, {"hospitalisation": 90, "disability": 10}),
}
"""Serious events: a term (in both versions), weights of its grades and of its seriousness criteria."""
