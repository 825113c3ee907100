// A page is whole without this file. It keeps the parts of it current: the server names what changed, that part is fetched again.

import { SharedStream } from './stream.js';

const state = document.getElementById('state');
const parts = () => [...document.querySelectorAll('[data-live]')];
const selector = name => `[data-live="${CSS.escape(name)}"]`;
const part = name => document.querySelector(selector(name));

const under_way = new Map(); // part -> has it changed again meanwhile?
const SLOWEST = 30_000;
let stream = null;
let failures = 0;
let over = false; // signed out: nothing more can be asked for

function say(words) {
  if (state.textContent !== words) state.textContent = words; // the same words again would be read out again
  state.dataset.state = words.toLowerCase().replaceAll(' ', '-');
}

const pause = () => Math.min(SLOWEST, 1000 * 2 ** Math.min(failures++, 5)) * (0.75 + Math.random() / 2);

function signed_out() {
  over = true;
  stop();
  say('Signed out');
  const again = Object.assign(document.createElement('a'), { href: location.href, textContent: 'Sign in again' });
  state.append('. ', again);
}

// Replaces a part and keeps what the reader did in it: opened tables, focus, scrolled places. Elements are found again by id.
function exchange(old, fresh) {
  const open = [...old.querySelectorAll('details[open]')].map(details => details.id);
  const scrolled = [...old.querySelectorAll('.scroll')].map(box => [box.id, box.scrollLeft, box.scrollTop]);
  const focus = old.contains(document.activeElement) ? document.activeElement.id : '';
  old.replaceWith(fresh);
  for (const id of open) document.getElementById(id)?.setAttribute('open', '');
  for (const [id, left, top] of scrolled) document.getElementById(id)?.scrollTo(left, top);
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

// The head of the page says what the newest part says.
function restamp() {
  const newest = parts().reduce((a, b) => (Number(b.dataset.version) > Number(a.dataset.version) ? b : a));
  for (const place of document.querySelectorAll('[data-show]')) {
    const value = newest.dataset[place.dataset.show];
    if (value && place.textContent !== value) place.textContent = value;
  }
}

async function load(name) {
  const old = part(name);
  const answer = await fetch(old.dataset.src, { headers: { accept: 'text/html' }, redirect: 'manual', cache: 'no-cache' });
  if (answer.status === 401 || answer.type === 'opaqueredirect') return signed_out();
  if (!answer.ok) throw new Error(`${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector(selector(name));
  if (!fresh) throw new Error('no such part');
  const changed = fresh.dataset.version !== old.dataset.version;
  exchange(part(name), document.adoptNode(fresh));
  if (changed) fresh.classList.add('fresh');
  restamp();
  failures = 0;
}

async function refresh(name) {
  if (under_way.has(name)) return under_way.set(name, true); // one at a time, and once more if it changed meanwhile
  under_way.set(name, false);
  try {
    await load(name);
  } catch {
    if (!over) setTimeout(refresh, pause(), name);
  }
  const again = under_way.get(name);
  under_way.delete(name);
  if (again) refresh(name);
}

const SAID = { open: 'Live', lost: 'Reconnecting', refused: 'Reconnecting', full: 'Not live: too many studies are open' };

function heard(message) {
  if (message.event) {
    const shown = part(message.event);
    if (shown && message.data !== shown.dataset.version) refresh(message.event);
    return;
  }
  if (message.state === 'open') failures = 0;
  say(SAID[message.state]);
  // The browser does not say why it was refused: a part asked for tells whether we are signed out.
  if (message.state === 'refused') refresh(parts()[0].dataset.live);
}

function start() {
  stop();
  if (over) return;
  stream = new SharedStream(state.dataset.stream, state.dataset.events.split(' '), heard, pause);
}

function stop() {
  stream?.close();
  stream = null;
}

if (state && parts().length) {
  document.addEventListener('visibilitychange', () => (document.hidden ? stop() : start())); // a hidden tab holds no connection
  addEventListener('pagehide', stop);
  addEventListener('pageshow', event => event.persisted && start());
  start();
}
