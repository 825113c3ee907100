// Makes a form quicker: rows appear without loading the page anew, and the session lasts as long as somebody works. Every
// request is the one that the form itself would send, so a form without this script does the same.

import { idleSeconds, requestRenewal, secondsUntilEnd } from './session.js';

const IDLE_LIMIT = 60, WARNED_BEFORE = 2; // minutes without an act of the person until the session ends; minutes of warning
const RENEWED_EVERY = 4; // minutes
const form = () => document.querySelector('form.fact-form');

// Sends the form by a button, and returns the form that the server answers with; null if it answers otherwise.
async function send(name, value) {
  const body = new URLSearchParams(new FormData(form()));
  body.append(name, value);
  const answer = await fetch(form().action, { method: 'POST', body, headers: { accept: 'text/html' } });
  if (!answer.ok || answer.redirected) return null;
  return new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('form.fact-form');
}

// Puts the form of the answer in place of the present one, and the focus where the answer has it.
function replaceForm(fresh) {
  const opened = [...form().querySelectorAll('details[open] > fieldset')].map(part => part.id);
  const focused = fresh.querySelector('[autofocus]')?.id;
  form().replaceWith(document.adoptNode(fresh));
  for (const id of opened) document.getElementById(id)?.closest('details')?.setAttribute('open', '');
  document.getElementById(focused)?.focus();
}

async function changeRows(button) {
  const fresh = await send(button.name, button.value).catch(() => null);
  if (fresh) return replaceForm(fresh);
  button.dataset.plain = ''; // the browser sends the form itself, and shows what the server answers
  button.click();
}

document.addEventListener('click', event => {
  const button = event.target.closest('form.fact-form button[name="add"], form.fact-form button[name="remove"]');
  if (!button || 'plain' in button.dataset) return;
  event.preventDefault();
  changeRows(button);
});

function announce(sentence) {
  const status = document.getElementById('form-status');
  if (status && status.textContent !== sentence) status.textContent = sentence;
}

const ENDED = 'Your session has ended. Nothing is lost: press a button of the form, and sign in.';
const IDLE = 'Your session ends soon. Press a key to go on.';
const ENDING =
  'Your session ends soon, 12 hours after you signed in, also while you work. Nothing is lost: sign in again in another tab, then go on here.';

// The link leads to the provider even while the session lasts: another sign-in begins another session of 12 hours.
function announceEnd() {
  announce(ENDING);
  const status = document.getElementById('form-status');
  if (!status || document.getElementById('sign-in-again')) return;
  const link = Object.assign(document.createElement('a'), { id: 'sign-in-again', href: '/session/sign-in?next=/session' });
  Object.assign(link, { target: '_blank', rel: 'noopener', textContent: 'Sign in again' });
  status.after(link);
}

// True from three minutes before the end: the next look, a minute later, would leave less than the two minutes of warning.
const isEnding = () => secondsUntilEnd() <= (WARNED_BEFORE + 1) * 60;

let minutes = 0;
let renewal = 204; // status of the last answer

async function watchSession() {
  // Another tab may have begun a session that lasts, and a service that was down answers again: so each minute after
  // another answer than 204, but never again where no session can be renewed. A lost connection is no end of the session.
  const isDue = minutes % RENEWED_EVERY === 0 || isEnding() || renewal !== 204;
  minutes += 1;
  if (isDue && renewal !== 404) renewal = await requestRenewal().catch(() => renewal);
  if (renewal === 401) announce(ENDED);
  else if (isEnding()) return announceEnd();
  else announce(idleSeconds() >= (IDLE_LIMIT - WARNED_BEFORE) * 60 ? IDLE : '');
  document.getElementById('sign-in-again')?.remove();
}

if (form()) setInterval(watchSession, 60_000);
