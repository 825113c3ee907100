"""Enrollment's stream policy: local references are unique within a site, and duplicates form no circle."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shared.kernel.errors import Forbidden, ReferenceInUse
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.testing.builders.facts import (
    consent_signed,
    correction,
    participant_screened,
    participant_transferred,
    participant_voided,
)
from tests.unit.eventstore.enrollment_driver import (
    STUDY,
    UNKNOWN_PARTICIPANT,
    VAULT,
    EnrollmentDriver,
    screening_event_id,
    search_key_of,
)


async def test_refusal_does_not_quote_the_local_reference(study: EnrollmentDriver) -> None:
    await study.record("sam", None, participant_screened(local_reference="PAT-0815"))
    refusal = await study.refusal("sam", None, participant_screened(local_reference="PAT-0815"))
    assert "0815" not in repr((refusal, refusal.title, refusal.faults))


async def test_local_reference_is_unique_within_a_site(study: EnrollmentDriver) -> None:
    first = (await study.record("sam", None, participant_screened(local_reference="PAT-1"))).stream_id
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")
    for same in ("PAT-1", " pat-1 "):
        refusal = await study.refusal("cora", None, participant_screened(local_reference=same))
        assert (type(refusal), refusal.status) == (ReferenceInUse, 409)
    await study.register_participant("mia", participant_screened(site_id="milan", local_reference="PAT-1"))
    await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    assert len(await study.participant_ids()) == 3


async def test_local_reference_is_recorded_and_probed_by_its_site_only(study: EnrollmentDriver) -> None:
    """A reference that is in use or free, right or wrong, recorded or tried, gets one answer, with a pointer."""
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    other = await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    refusals = set()
    for guess in ("PAT-1", "PAT-2", "PAT-3"):
        for caller in ("carl", "ivan"):
            for participant in (first, other):
                screening_correction = correction(
                    await screening_event_id(study, participant), participant_screened(local_reference=guess)
                )
                for dry_run in (True, False):
                    for facts in (
                        (screening_correction,),
                        (screening_correction, correction(screening_correction.event_id, None)),
                    ):
                        refusal = await study.refusal(caller, participant, *facts, dry_run=dry_run)
                        refusals.add((len(facts), type(refusal), refusal.code, refusal.title, refusal.faults))
    assert [
        (count, code, faults[0].pointer)
        for count, _, code, _, faults in sorted(refusals, key=lambda refusal: refusal[0])
    ] == [
        (1, "local-reference", "/replacement/data/local_reference"),
        (2, "local-reference", "/0/data/replacement/data/local_reference"),
    ]
    for guess in ("PAT-1", "PAT-3"):
        refusal = await study.refusal("carl", None, participant_screened(local_reference=guess))
        assert (refusal.code, refusal.faults[0].pointer) == ("local-reference", "/local_reference")
        mia = await study.refusal("mia", None, participant_screened(local_reference=guess))
        assert type(mia) is Forbidden
    await study.record(
        "ivan", first, correction(await screening_event_id(study, first), participant_screened(sex="male"))
    )
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")


async def test_reinstating_a_participant_does_not_reveal_a_reference_in_use(study: EnrollmentDriver) -> None:
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    alone = await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    voids = [
        (await study.record("sam", participant_id, participant_voided())).event_ids[0]
        for participant_id in (first, alone)
    ]
    second = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    for participant_id, void in zip((first, alone), voids, strict=True):
        for dry_run in (True, False):
            outcome = await study.record("ivan", participant_id, correction(void, None), dry_run=dry_run)
            assert outcome.version == 3
    search_keys = [await search_key_of(study, participant_id) for participant_id in (first, second, alone)]
    assert search_keys == [None, *(VAULT.blind_index(STUDY, "rome", reference) for reference in ("PAT-1", "PAT-2"))]
    await study.record("carl", first, consent_signed())
    refusal = await study.refusal(
        "sam", first, correction(await screening_event_id(study, first), participant_screened(local_reference="PAT-1"))
    )
    assert type(refusal) is ReferenceInUse


async def test_returning_a_participant_does_not_reveal_a_reference_in_use(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record("sam", participant, participant_transferred("milan", 5))
    await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    for dry_run in (True, False):
        await study.record("mia", participant, participant_transferred("rome", 9), dry_run=dry_run)
    stream = await study.load_stream(participant)
    assert (stream.head.site_id, stream.head.search_key) == ("rome", None)


async def test_voided_participant_releases_its_local_reference(study: EnrollmentDriver) -> None:
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    void = (await study.record("sam", first, participant_voided())).event_ids[0]
    assert await search_key_of(study, first) is None
    second = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", first, correction(void, None))) is ReferenceInUse
    await study.record("sam", second, participant_voided())
    await study.record("sam", first, correction(void, None))
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-1")


async def test_corrected_screening_determines_the_local_reference(study: EnrollmentDriver) -> None:
    first = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record(
        "sam", first, correction(await screening_event_id(study, first), participant_screened(local_reference="PAT-2"))
    )
    await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", None, participant_screened(local_reference="PAT-2"))) is ReferenceInUse
    back = correction(await screening_event_id(study, first), participant_screened(local_reference="PAT-1"))
    assert type(await study.refusal("sam", first, back)) is ReferenceInUse
    await study.record("sam", first, consent_signed())
    assert await search_key_of(study, first) == VAULT.blind_index(STUDY, "rome", "PAT-2")


async def test_transfer_does_not_take_the_local_reference_along(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record("sam", participant, participant_transferred("milan"))
    stream = await study.load_stream(participant)
    assert (stream.head.site_id, stream.head.search_key) == ("milan", None)
    assert [event.site_id for event in stream.events if event.sealed] == ["rome"]
    assert [
        await study.dry_run_status(member, participant, consent_signed()) for member in ("sam", "cora", "mia", "carl")
    ] == [
        404,
        404,
        200,
        200,
    ]
    await study.register_participant("sam", participant_screened(local_reference="PAT-1"))


async def test_new_site_sets_its_own_reference_by_correcting_the_screening(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    await study.record("sam", participant, participant_transferred("milan"))
    own = correction(await screening_event_id(study, participant), participant_screened(local_reference="MI-9"))
    await study.record("mia", participant, own)
    assert await search_key_of(study, participant) == VAULT.blind_index(STUDY, "milan", "MI-9")
    assert (await study.load_stream(participant)).events[-1].site_id == "milan"
    again = await study.refusal("mia", None, participant_screened(site_id="milan", local_reference="MI-9"))
    assert type(again) is ReferenceInUse
    await study.register_participant("sam", participant_screened(local_reference="MI-9"))


async def test_returning_participant_regains_the_old_local_reference(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    transfer = (await study.record("sam", participant, participant_transferred("milan", 5))).event_ids[0]
    await study.record("mia", participant, participant_transferred("rome", 9))
    assert await search_key_of(study, participant) == VAULT.blind_index(STUDY, "rome", "PAT-1")
    other = await study.register_participant("sam", participant_screened(local_reference="PAT-2"))
    mistaken = (await study.record("ada", other, participant_transferred("milan", 5))).event_ids[0]
    await study.record("mia", other, correction(mistaken, None))
    stream = await study.load_stream(other)
    assert (stream.head.site_id, stream.head.search_key) == ("rome", VAULT.blind_index(STUDY, "rome", "PAT-2"))
    assert transfer != mistaken


@pytest.mark.parametrize("same", ["MU\u0308LLER-07", "m\u00fcller-07", "M\u00dcLLER\u00a0-07", " M\u00dcLLER-07 "])
async def test_local_references_are_compared_in_normalized_form(study: EnrollmentDriver, same: str) -> None:
    await study.register_participant(
        "sam", participant_screened(local_reference="M\u00dcLLER-07" if "\u00a0" not in same else "M\u00dcLLER -07")
    )
    assert type(await study.refusal("sam", None, participant_screened(local_reference=same))) is ReferenceInUse


async def test_leading_zero_makes_a_different_local_reference(study: EnrollmentDriver) -> None:
    await study.register_participant("sam", participant_screened(local_reference="00123"))
    await study.register_participant("sam", participant_screened(local_reference="123"))
    await study.register_participant("sam", participant_screened(local_reference="1E5"))
    assert len(await study.participant_ids()) == 3


def duplicate_of(participant_id: str) -> Fact:
    return participant_voided("duplicate", participant_id)


async def fault_codes_and_pointers(study: EnrollmentDriver, by: str, stream: str, fact: Fact) -> list[tuple[str, str]]:
    return [(fault.code, fault.pointer) for fault in (await study.refusal(by, stream, fact)).faults]


async def test_participant_is_voided_as_a_duplicate(study: EnrollmentDriver) -> None:
    first, second = await study.register_participant(), await study.register_participant()
    await study.record("sam", second, duplicate_of(first))
    assert (await study.load_stream(second)).head.summary["status"] == "voided"


async def test_participant_cannot_be_a_duplicate_of_itself(study: EnrollmentDriver) -> None:
    participant_id = await study.register_participant()
    for voiding in (duplicate_of(participant_id), duplicate_of(participant_id.replace("-", "").lower())):
        assert await fault_codes_and_pointers(study, "sam", participant_id, voiding) == [
            ("duplicate-of-itself", "/duplicate_of")
        ]
    await study.record("sam", participant_id, consent_signed())
    assert await fault_codes_and_pointers(study, "sam", participant_id, duplicate_of(participant_id)) == [
        ("duplicate-of-itself", "/duplicate_of")
    ]


async def test_participants_cannot_be_duplicates_in_a_circle(study: EnrollmentDriver) -> None:
    participant_ids = [await study.register_participant() for _ in range(4)]
    for participant_id, other in pairwise(participant_ids):
        await study.record("sam", participant_id, duplicate_of(other))
    for other in participant_ids[:3]:
        assert await fault_codes_and_pointers(study, "carl", participant_ids[3], duplicate_of(other)) == [
            ("duplicate-circle", "/duplicate_of")
        ]
    await study.record("sam", participant_ids[3], participant_voided())


async def test_correction_cannot_create_a_circle_of_duplicates(study: EnrollmentDriver) -> None:
    first, second = await study.register_participant(), await study.register_participant()
    mistaken = (await study.record("sam", first, participant_voided("duplicate"))).event_ids[0]
    await study.record("sam", second, duplicate_of(first))
    for participant_id, code in ((second, "duplicate-circle"), (first, "duplicate-of-itself")):
        corrected = correction(mistaken, duplicate_of(participant_id))
        assert await fault_codes_and_pointers(study, "ivan", first, corrected) == [
            (code, "/replacement/data/duplicate_of")
        ]
    await study.record("sam", first, correction(mistaken, None))


async def test_circle_of_duplicates_is_broken_by_a_correction(study: EnrollmentDriver) -> None:
    first, second = await study.register_participant(), await study.register_participant()
    void = (await study.record("sam", second, duplicate_of(first))).event_ids[0]
    await study.record("sam", second, correction(void, participant_voided()))
    await study.record("sam", first, duplicate_of(second))


async def test_duplicate_of_an_invisible_participant_has_one_answer(study: EnrollmentDriver) -> None:
    own, foreign = await study.register_participant(), await study.register_participant("mia")
    voided_foreign = await study.register_participant("mia")
    await study.record("mia", voided_foreign, participant_voided())
    refusals = [
        await study.refusal("sam", own, duplicate_of(participant_id))
        for participant_id in (foreign, voided_foreign, new_participant_id(), UNKNOWN_PARTICIPANT)
    ]
    assert [[(fault.code, fault.pointer) for fault in refusal.faults] for refusal in refusals] == [
        [("no-such-participant", "/duplicate_of")]
    ] * 4
    assert len({(refusal.status, refusal.title, str(refusal.faults)) for refusal in refusals}) == 1
    await study.record("carl", own, duplicate_of(foreign))


async def test_correction_does_not_recheck_an_unchanged_duplicate(study: EnrollmentDriver) -> None:
    original, copy = await study.register_participant(), await study.register_participant()
    void = (await study.record("sam", copy, duplicate_of(original))).event_ids[0]
    await study.record("sam", original, participant_transferred("milan"))
    await study.record("sam", copy, correction(void, duplicate_of(original)))


async def test_reinstated_participant_regains_the_local_reference(study: EnrollmentDriver) -> None:
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    screening, before = (await study.load_stream(participant)).events[0].event_id, await study.load_stream(participant)
    await study.record("ivan", participant, correction(screening, None))
    await study.record("ivan", participant, correction(screening, participant_screened()))
    assert (await study.load_stream(participant)).head.search_key == before.head.search_key
    assert type(await study.refusal("sam", None, participant_screened(local_reference="PAT-1"))) is ReferenceInUse
