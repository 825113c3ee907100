"""Addresses of subscriptions: confirmed by who is signed in as the member and holds the link; and their page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.analytics.reminders.subscriptions.repository import own_transaction
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.subscriptions import (
    BROWSER,
    NURSE,
    address_of,
    addresses_of_recipients,
    call,
    confirm,
    link_token,
    mails,
    open_confirmation,
    open_study_with_mail,
    post_page,
    subscribe,
)


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_study_with_mail(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_opening_the_link_changes_nothing(study: AnalyticsStudy) -> None:
    await subscribe(study)
    page = await open_confirmation(study, await link_token(study))
    assert page.status_code == 200
    assert "Confirm this address" in page.text
    assert await addresses_of_recipients(study) == []


async def test_the_link_confirms_nothing_for_another_member(study: AnalyticsStudy) -> None:
    await subscribe(study)
    token = await link_token(study)
    for user in ("site@milan", "coordinator", "investigator"):
        assert (await open_confirmation(study, token, user)).status_code == 404
        await study.get_page("subscription", "site@milan")  # gives the browser a token for forms
        fields = {"form:csrf": study.http.cookies["quartal-form-8000"], "token": token}
        posted = await study.http.post(
            "/analytics/subscriptions/confirm", data=fields, headers={**study.authorization(user), **BROWSER}
        )
        assert posted.status_code == 404
    assert await addresses_of_recipients(study) == []


async def test_the_link_needs_a_sign_in(study: AnalyticsStudy) -> None:
    await subscribe(study)
    address = f"/analytics/subscriptions/confirm?token={await link_token(study)}"
    answer = await study.http.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/session?next=%2Fanalytics%2Fsubscriptions%2Fconfirm")


async def test_the_link_is_good_once(study: AnalyticsStudy) -> None:
    await subscribe(study)
    token = await link_token(study)
    assert (await confirm(study, token)).status_code == 303
    assert (await open_confirmation(study, token)).status_code == 404


async def test_a_later_link_makes_the_earlier_one_void(study: AnalyticsStudy) -> None:
    await subscribe(study)
    first = await link_token(study)
    await subscribe(study)
    second = await link_token(study)
    assert (await open_confirmation(study, first)).status_code == 404
    assert (await confirm(study, second)).status_code == 303


async def test_an_expired_or_forged_link_confirms_nothing(study: AnalyticsStudy) -> None:
    await subscribe(study)
    token = await link_token(study)
    for other in ("", "x", token[:-1], token.replace(".", ".1", 1)):
        assert (await open_confirmation(study, other)).status_code == 404
    await study.database.system.execute(
        "update address_confirmation set expires_at = now() where study_id = $1", study.study_id
    )
    assert (await open_confirmation(study, token)).status_code == 404


async def test_the_old_address_stays_until_the_new_one_is_confirmed_and_is_told(study: AnalyticsStudy) -> None:
    elsewhere = f"{study.study_id}@elsewhere.example"
    await subscribe(study)
    await confirm(study, await link_token(study))
    changed = await subscribe(study, email=elsewhere)
    assert (changed.json()["confirmed"], changed.json()["confirmed_email"]) == (False, address_of(study))
    assert await addresses_of_recipients(study) == [(address_of(study), "rome")]
    assert {(to, message["Subject"].rpartition(": ")[2]) for to, message in (await mails(study))[1:]} == {
        (elsewhere, "confirm this address"),
        (address_of(study), "another address was given"),
    }
    await confirm(study, await link_token(study, elsewhere))
    assert await addresses_of_recipients(study) == [(elsewhere, "rome")]


async def test_an_address_that_is_no_longer_wanted_is_not_confirmed(study: AnalyticsStudy) -> None:
    elsewhere = f"{study.study_id}@elsewhere.example"
    await subscribe(study, email=elsewhere)
    token = await link_token(study, elsewhere)
    await subscribe(study)
    assert (await confirm(study, token)).status_code in (403, 404)
    assert await addresses_of_recipients(study) == []


async def test_the_database_shows_a_member_only_the_own_subscription(study: AnalyticsStudy) -> None:
    await subscribe(study)
    for member, count in ((f"{NURSE}.{study.study_id}", 1), (f"site@milan.{study.study_id}", 0), ("", 0)):
        async with own_transaction(study.database.app, study.study_id, member) as connection:
            assert await connection.fetchval("select count(*) from subscription") == count
            assert await connection.fetchval("select count(*) from address_confirmation") == count


async def test_the_page_subscribes_changes_and_ends(study: AnalyticsStudy) -> None:
    empty = await study.get_page("subscription", NURSE)
    assert empty.status_code == 200
    assert "You get no digests of this study." in empty.text
    assert (await post_page(study, email=address_of(study), digest="on", record="subscription")).status_code == 303
    waiting = await study.get_page("subscription", NURSE)
    assert f"A link was sent to <b>{address_of(study)}</b>" in waiting.text
    await confirm(study, await link_token(study))
    assert f"Digests go to <b>{address_of(study)}</b>" in (await study.get_page("subscription", NURSE)).text
    assert (
        await post_page(study, email=address_of(study), away_until="2025-02-10", record="subscription")
    ).status_code == 303
    assert (await call(study, "GET", "subscription")).json()["away_until"] == "2025-02-10"
    assert (await call(study, "GET", "subscription")).json()["digest"] is False
    assert (await post_page(study, remove="subscription")).status_code == 303
    assert "You get no digests of this study." in (await study.get_page("subscription", NURSE)).text


async def test_the_page_says_what_is_wrong_and_keeps_what_was_typed(study: AnalyticsStudy) -> None:
    for typed, sentence in (
        ("no address", "Give a bare address of mail"),
        ("nurse@private.example", "Give an address at one of: hospital.example, elsewhere.example."),
    ):
        refused = await post_page(study, email=typed, record="subscription")
        assert refused.status_code == 422
        assert sentence in refused.text
        assert f'value="{typed}"' in refused.text


async def test_the_page_refuses_forms_of_other_sites(study: AnalyticsStudy) -> None:
    address = f"/analytics/studies/{study.study_id}/subscription"
    await study.get_page("subscription", NURSE)
    for headers, csrf in (({"Sec-Fetch-Site": "cross-site"}, None), ({"Origin": "null"}, None), (BROWSER, "other")):
        fields = {"email": address_of(study), "form:csrf": csrf or study.http.cookies["quartal-form-8000"]}
        answer = await study.http.post(address, data=fields, headers={**study.authorization(NURSE), **headers})
        assert answer.status_code == 403
    assert (await call(study, "GET", "subscription")).status_code == 404


async def test_an_installation_without_a_mail_server_says_so(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        refused = await subscribe(study)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/no-mail-server")
        assert "sends no mail" in (await study.get_page("subscription", NURSE)).text
        assert (await post_page(study, email=address_of(study), record="subscription")).status_code == 503


async def test_page_says_where_digests_go_only_while_they_go_there(study: AnalyticsStudy) -> None:
    await subscribe(study, away_until="2099-01-01")
    await confirm(study, await link_token(study))
    away = (await study.get_page("subscription", NURSE)).text
    assert f"Digests go to <b>{address_of(study)}</b>, and none before 2099-01-01." in away
    await subscribe(study, digest=False, calendar=True)
    unwanted = (await study.get_page("subscription", NURSE)).text
    assert "You get no digests of this study, because you want none." in unwanted
    assert ("Digests go to" in unwanted, "Send me today" in unwanted) == (False, False)
    await subscribe(study, email=f"other-{address_of(study)}", digest=False, calendar=True)
    unconfirmed = (await study.get_page("subscription", NURSE)).text
    assert "No digests go out, because you want none." in unconfirmed
    assert "Until then" not in unconfirmed
