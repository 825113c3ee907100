// Renews the session while a page stays open. The session ends an hour after the person was last active, whatever a page
// does by itself, so each renewal tells how long ago that was.

let activeAt = performance.now(); // opening the page was an act of the person
for (const event of ['pointerdown', 'keydown']) {
  addEventListener(event, () => (activeAt = performance.now()), { capture: true, passive: true });
}

// Returns whether the browser has a new token.
export async function renew() {
  const idle = Math.round((performance.now() - activeAt) / 1000); // seconds
  const answer = await fetch('/session/renew', { method: 'POST', body: new URLSearchParams({ idle }) });
  return answer.ok;
}
