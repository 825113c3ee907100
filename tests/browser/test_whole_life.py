"""A study and the life of one participant in a browser, by keyboard alone: from the opening to a death two years later.

The participant's radiotherapy ended two years ago, so the last planned visit is due today. Everything is recorded
today, as a site does that enters its paper records.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from infra.reference.study import subject
from tests.browser.support.member import Browsing, MemberAtKeyboard, at_keyboard
from tests.browser.support.page_checks import PageChecks
from tests.demo import Demo

TITLE, SITE = "Two years of one participant", "oslo"
TODAY = datetime.now(UTC).date()
END = TODAY.replace(year=TODAY.year - 2, day=min(TODAY.day, 28))
"""Day of the last fraction. The eighth visit, two years later, is due today."""


def days_after_end(days: int) -> str:
    return (END + timedelta(days=days)).isoformat()


def days_from_today(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


def day_of_visit(number: int) -> str:
    """Returns a day within the window of the visit: every three months, by the protocol."""
    return days_after_end(round(number * 365.25 / 4))


def open_study(admin: MemberAtKeyboard, study: str) -> None:
    """Opens the study with two criteria and two terms, and activates its site."""
    admin.write("Title", TITLE)
    admin.write("Ethics approval", "EC 17/2022")
    for number, (name, text, kind) in enumerate(
        [("histology", "Anaplastic carcinoma", "Inclusion"), ("pregnancy", "Pregnancy", "Exclusion")], 1
    ):
        if number > 1:
            admin.add("Add to criteria", f"Criterion {number}")
        admin.write("Id of the criterion", name, f"Criterion {number}")
        admin.write("Text", text, f"Criterion {number}")
        admin.choose("Inclusion or exclusion", kind, f"Criterion {number}")
    admin.write("Version", "1.0", "Consent version 1")
    admin.write("Valid from", days_after_end(-900), "Consent version 1")
    admin.choose("Version of CTCAE", "CTCAE 3.0")
    for number, term in enumerate(("3.0:0150", "3.0:0207"), 1):
        admin.add("Add to checklist", f"Term {number}")
        admin.write("Term", term, f"Term {number}")
    admin.add("Add to symptoms", "Symptom 1")
    admin.write("Symptom", "pain", "Symptom 1")
    admin.write("Id of the study", study)
    admin.record("Opening of a study")
    admin.visit("Activation of a site")
    for label, text in {"Id of the site": SITE, "Name": "Oslo", "Country": "NO", "Time zone": "Europe/Oslo"}.items():
        admin.write(label, text)
    admin.write("First day", days_after_end(-800))
    admin.record("Activation of a site")


def grant_roles(admin: MemberAtKeyboard, study: str) -> None:
    for role, site in (("coordinator", SITE), ("investigator", None)):
        admin.visit("Grant of a role to a member")
        admin.write("Member", subject(study, role, site))
        admin.choose("Role", role.capitalize())
        if site:
            admin.select("Site", "Oslo")
        admin.record("Grant of a role to a member")


def enroll(member: MemberAtKeyboard) -> str:
    """Screens a person, first with a day that does not exist, and enrolls; returns the participant's number."""
    member.visit("Screen a new participant")
    member.write("Screened on", "2023-13-01")
    member.choose("Sex", "Female")
    member.write("Birth year", "1950")
    member.choose("Inclusion: Anaplastic carcinoma", "Fulfilled")
    member.choose("Exclusion: Pregnancy", "Absent")
    member.write("Number at the site", "4711")
    member.press("Record")
    expect(member.page.locator("#summary")).to_be_focused()
    member.jump("Screened on")
    member.write("Screened on", days_after_end(-60))
    member.record("Screening")
    participant = member.page.url.split("/")[-3]
    member.visit("Informed consent")
    member.write("Signed on", days_after_end(-60))
    member.choose("Version of the consent form", "1.0")
    for option in ("Use of the data for research", "Requests to registries", "Contact again"):
        member.choose(option, "Yes")
    member.record("Informed consent")
    member.visit("Enrollment")
    member.write("Enrolled on", days_after_end(-58))
    member.record("Enrollment")
    return participant


def assess_baseline(member: MemberAtKeyboard) -> None:
    member.visit("Baseline assessment")
    member.write("Assessed on", days_after_end(-57))
    member.write("Diagnosed on", days_after_end(-90)[:7])
    member.write("Histology", "8021/3")
    member.write("Primary site", "C73")
    for category in ("T4b", "N1", "M1"):
        member.write(category[0], category, category[0])
    member.select("Scale", "Karnofsky", "Performance status")
    member.write("Value", "80", "Performance status")
    member.tick("Lung", "Metastatic sites")
    member.select("Severity", "Mild", "Pain")
    member.record("Baseline assessment")
    member.visit("Tumor lesion")
    member.choose("Kind", "Metastasis")
    member.select("Body site", "Lung")
    member.write("Found on", days_after_end(-90))
    member.write("Size", "12,5")
    member.record("Tumor lesion")


def treat(member: MemberAtKeyboard, study: str, participant: str) -> None:
    """Records a course from its start, which is likely next, to its end, which the worklist asks for."""
    member.visit("Start of radiotherapy")
    member.write("Id of the target", "T1", "Target 1")
    member.tick("L1", "Lesions")
    member.write("Name", "PTV_1", "Target 1")
    member.select("Modality", "Photons", "Target 1")
    member.select("Technique", "VMAT", "Target 1")
    member.choose("Delivery", "Hypofractionated")
    member.write("Fractions", "20", "Target 1")
    member.write("Dose per fraction", "2,5 Gy", "Target 1")
    member.write("Total dose", "50 Gy", "Target 1")
    member.write("Started on", days_after_end(-28))
    member.select("Intent", "Palliative")
    member.choose("Index course", "Yes")
    member.record("Start of radiotherapy")
    go_to_worklist(member, study)
    member.visit(f"End of radiotherapy: {participant}")
    member.choose("Course", "RT1")
    member.write("Ended on", days_after_end(0))
    member.record("End of radiotherapy as planned")


def assess_toxicity(member: MemberAtKeyboard) -> None:
    member.visit("Assessment of toxicity")
    member.write("Assessed on", days_after_end(0))
    member.choose("Timepoint", "End of radiotherapy")
    member.select("Grade", "3", "Dysphagia")
    member.unfold("Attribution", "Dysphagia")
    member.select("Level", "Probable", "Radiotherapy RT1")
    member.write("Onset on", days_after_end(-10), "Dysphagia")
    member.select("Grade", "1", "Nausea")
    member.choose("Checklist complete", "Yes")
    member.record("Assessment of toxicity")


def report_serious_event(member: MemberAtKeyboard) -> None:
    """Reports an admission, finds its term by words, and records that it has ended."""
    member.visit("Serious adverse event: first report")
    member.write("Site became aware at", f"{days_after_end(3)} 09:30")
    member.write("CTCAE term", "difficulty swallowing")
    member.press("Find: CTCAE term")
    member.choose("Terms for these words", "Dysphagia (difficulty swallowing)")
    member.choose("Grade", "3")
    member.write("Onset on", days_after_end(2))
    member.tick("Hospital admission or a longer stay", "Seriousness")
    member.write("Narrative", "Admitted.")
    member.choose("Outcome", "Not recovered")
    member.record("Serious adverse event: first report")
    member.visit("Serious adverse event: final report")
    member.choose("Event", "SAE1")
    member.write("Site became aware at", f"{days_after_end(20)} 10:00")
    member.choose("Outcome", "Recovered")
    member.write("Resolved on", days_after_end(18))
    member.record("Serious adverse event: final report")


def go_to_follow_up(member: MemberAtKeyboard, participant: str, form: str) -> None:
    member.visit(participant)
    member.visit("Follow-up")
    member.visit(form)


def go_to_worklist(member: MemberAtKeyboard, study: str) -> None:
    member.visit(study)
    member.visit("Worklist")


def follow_up(member: MemberAtKeyboard, participant: str) -> None:
    for number in (1, 2, 4):
        go_to_follow_up(member, participant, "Follow-up contact")
        member.write("Seen on", day_of_visit(number))
        member.choose("Form of the contact", "Clinic")
        member.select("Status", "Controlled", "L1")
        member.select("Basis", "Imaging", "L1")
        member.select("Regional disease", "None")
        member.select("Distant disease", "Stable")
        member.select("Response", "Stable disease")
        member.record("Follow-up contact")
    go_to_follow_up(member, participant, "Missed visit")
    member.choose("Visit", "Visit 3")
    member.write("Declared missed on", days_after_end(300))
    member.choose("Reason", "Too ill")
    member.record("Missed visit")


def arrange_last_visit(member: MemberAtKeyboard, study: str, participant: str) -> None:
    """Books an appointment for the visit that is due, and puts its reminders off, both from the worklist."""
    go_to_worklist(member, study)
    member.visit(f"Appointment: {participant}, visit 8")
    member.write("Day of the appointment", days_from_today(3))
    member.record("Appointment for a planned visit")
    go_to_worklist(member, study)
    member.visit(f"Put off: {participant}, visit 8")
    member.write("No reminders before", days_from_today(7))
    member.record("Reminder put off")


def correct(member: MemberAtKeyboard, participant: str) -> None:
    """Restates the size of the lesion, and voids a confirmation that was meant for somebody else."""
    member.visit("Recorded today")
    member.visit("Enrollment and treatment")
    member.visit(f"Correct or void: Tumor lesion, {participant}")
    member.choose("Reason for the correction", "Typing error")
    member.write("Size", "14")
    member.record("Tumor lesion", "Record the correction")
    go_to_follow_up(member, participant, "Confirmation that the participant is alive")
    member.write("Alive on", days_from_today(-2))
    member.choose("Source", "Family doctor")
    member.record("Confirmation that the participant is alive")
    member.visit("Recorded today")
    member.visit(f"Correct or void: Confirmation that the participant is alive, {participant}")
    member.choose("Reason for the correction", "Wrong participant")
    member.record("Confirmation that the participant is alive", "Void this fact")
    expect(member.page.locator(".lead")).to_contain_text("This fact is void.")


def record_end(member: MemberAtKeyboard, participant: str) -> None:
    go_to_follow_up(member, participant, "Progression")
    member.write("Detected on", days_after_end(600))
    member.choose("Kind", "Distant")
    member.select("Body site", "Bone")
    member.choose("Basis", "Imaging")
    member.record("Progression")
    go_to_follow_up(member, participant, "Death")
    member.write("Died on", days_from_today(-1))
    member.choose("Cause", "Disease under study")
    member.choose("The death is presumed", "No")
    member.record("Death")


def check_outcome(member: MemberAtKeyboard, study: str, participant: str) -> None:
    """Checks that the figures count the participant, and that the worklist, which had one visit, has none any more."""
    member.visit(study)
    expect(member.page.locator("#flow [data-number=enrolled]")).to_have_text("1")
    member.visit("Worklist")
    member.load_until(lambda: participant not in member.page.locator("main").inner_text())
    member.visit("Participants")
    row = member.page.get_by_role("row", name=participant)
    expect(row).to_contain_text("died")
    member.visit(participant)
    events = member.page.get_by_role("list", name="Facts in clinical order")
    expect(events).to_contain_text("14 mm")
    expect(events).to_contain_text(days_from_today(-1))


def recorded_types(demo: Demo, study: str, participant: str) -> dict[str, list[str]]:
    """Returns the types of the recorded facts by service, in the order of their recording."""
    with demo.client("coordinator", SITE, study) as http:
        return {
            service: [
                event["type"]
                for event in http.get(f"/{service}/v1/studies/{study}/participants/{participant}/history")
                .raise_for_status()
                .json()["events"]
            ]
            for service in RECORDED_TYPES
        }


RECORDED_TYPES = {
    "enrollment": [
        "participant.screened",
        "participant.consented",
        "participant.enrolled",
        "participant.baseline_recorded",
        "lesion.registered",
        "radiotherapy.started",
        "radiotherapy.completed",
        "record.corrected",
    ],
    "toxicity": ["toxicity.assessed", "toxicity.serious_event_reported", "toxicity.serious_event_resolved"],
    "followup": [
        *["followup.recorded"] * 3,
        "followup.visit_missed",
        "visit.scheduled",
        "reminder.snoozed",
        "vital_status.confirmed",
        "record.corrected",
        "disease.progressed",
        "participant.died",
    ],
}


@pytest.fixture(params=[Browsing(1280, True), Browsing(390, False)], ids=["desk with script", "phone without script"])
def browsing(request: pytest.FixtureRequest) -> Browsing:
    assert isinstance(request.param, Browsing)
    return request.param


@pytest.fixture
def checks(browser: Browser, base_url: str, browsing: Browsing) -> Iterator[PageChecks]:
    size: ViewportSize = {"width": browsing.width, "height": 900}
    with browser.new_context(base_url=base_url, viewport=size) as context:
        checks = PageChecks(None if browsing.has_script else context.new_page())
        yield checks
        assert checks.errors == []


def test_participant_is_followed_to_a_death_after_two_years_by_keyboard_alone(
    browser: Browser, base_url: str, demo: Demo, browsing: Browsing, checks: PageChecks
) -> None:
    study = f"own-{secrets.token_hex(6)}"
    with at_keyboard(browser, base_url, browsing, checks) as admin:
        admin.open("/session?next=/enrollment/studies/new")
        admin.sign_in(demo.token("administrator", study=study))
        open_study(admin, study)
        grant_roles(admin, study)
    with at_keyboard(browser, base_url, browsing, checks) as member:
        member.open("/session")
        member.sign_in(demo.token("coordinator", SITE, study))
        for link in (TITLE, "Participants", "Record facts, and find a participant"):
            member.visit(link)
        participant = enroll(member)
        assess_baseline(member)
        treat(member, study, participant)
        assess_toxicity(member)
        report_serious_event(member)
        follow_up(member, participant)
        arrange_last_visit(member, study, participant)
        correct(member, participant)
        record_end(member, participant)
        check_outcome(member, study, participant)
    assert recorded_types(demo, study, participant) == RECORDED_TYPES
