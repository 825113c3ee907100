// Renews the session while a page stays open. The session ends an hour after the person was last active, whatever a page
// does by itself, so each renewal tells how long ago that was.

let activeAt = performance.now(); // opening the page was an act of the person
for (const event of ['pointerdown', 'keydown']) {
  addEventListener(event, () => (activeAt = performance.now()), { capture: true, passive: true });
}

// Returns the seconds since the person was last active.
export const idleSeconds = () => Math.round((performance.now() - activeAt) / 1000);

let endsAt = Infinity;

// Returns the seconds until the session ends in any case, 12 hours after the sign-in; Infinity while that is not known.
export const secondsUntilEnd = () => (endsAt - performance.now()) / 1000;

// Returns the status of the answer: 204 with a new token, 401 after the end of the session, 404 where no session can be
// renewed.
export async function requestRenewal() {
  const body = new URLSearchParams({ idle: idleSeconds() });
  const answer = await fetch('/session/renew', { method: 'POST', body });
  const seconds = answer.headers.get('quartal-session-ends-in');
  if (seconds !== null) endsAt = performance.now() + Number(seconds) * 1000;
  return answer.status;
}

// Returns whether the browser has a new token.
export const renew = async () => (await requestRenewal()) === 204;
