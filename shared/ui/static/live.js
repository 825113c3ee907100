// Keeps the parts of a page current: the server names a part that has changed, and the part is fetched again. A page is
// complete without this script.

import { fetchDocument, replacePart } from './parts.js';
import { SharedStream } from './stream.js';

const state = document.getElementById('state');
const parts = () => [...document.querySelectorAll('[data-live]:not([data-preview])')]; // previews wait until they are in view
const selector = name => `[data-live="${CSS.escape(name)}"]`;
const part = name => document.querySelector(selector(name));

const changedAgain = new Map(); // for each part that is being fetched: whether it has changed again
const LONGEST_PAUSE = 30_000; // milliseconds
let stream = null;
let failures = 0;
let isSignedOut = false;
let wasLost = false;

function showState(label) {
  if (state.textContent !== label) state.textContent = label; // a screen reader reads every assignment
  state.dataset.state = label.toLowerCase().replaceAll(' ', '-');
}

const pause = () => Math.min(LONGEST_PAUSE, 1000 * 2 ** Math.min(failures++, 5)) * (0.75 + Math.random() / 2);

function endSession() {
  isSignedOut = true;
  stop();
  showState('Signed out');
  const link = Object.assign(document.createElement('a'), { href: location.href, textContent: 'Sign in again' });
  state.append('. ', link);
}

// Shows position, time and data cut-off of the newest part in the header of the page.
function updateHeader() {
  if (!parts().length) return void (stop(), showState('Not live')); // what was loaded does not change any more
  const versioned = parts().filter(({ dataset }) => dataset.version); // others show no position
  if (!versioned.length) return;
  const newest = versioned.reduce((a, b) => (Number(b.dataset.version) > Number(a.dataset.version) ? b : a));
  for (const element of document.querySelectorAll('[data-show]')) {
    const value = newest.dataset[element.dataset.show];
    if (value && element.textContent !== value) element.textContent = value;
  }
}

async function load(name) {
  if (!part(name)) return; // it was replaced by one that is not live any more
  const page = await fetchDocument(part(name).dataset.src);
  if (!page) return endSession();
  const old = part(name);
  const fresh = page.querySelector(selector(name)) ?? page.getElementById(old.id); // it may not be live any more
  if (!fresh) throw new Error('no such part');
  const changed = fresh.dataset.version !== old.dataset.version;
  replacePart(old, document.adoptNode(fresh));
  if (changed) fresh.classList.add('fresh');
  updateHeader();
  failures = 0;
}

async function refresh(name) {
  if (changedAgain.has(name)) return changedAgain.set(name, true); // fetched once more when this fetch is done
  changedAgain.set(name, false);
  try {
    await load(name);
  } catch {
    if (!isSignedOut) setTimeout(refresh, pause(), name);
  }
  const isOutdated = changedAgain.get(name);
  changedAgain.delete(name);
  if (isOutdated) refresh(name);
}

const STATE_LABELS = { open: 'Live', lost: 'Reconnecting', refused: 'Reconnecting', full: 'Not live: too many studies are open' };

function receive(message) {
  if (message.event) {
    const current = part(message.event);
    if (current && !('preview' in current.dataset) && message.data !== current.dataset.version) refresh(message.event);
    return;
  }
  if (message.state === 'open') {
    failures = 0;
    if (wasLost) for (const element of parts()) refresh(element.dataset.live); // changes may have been missed
    wasLost = false;
  }
  if (message.state === 'lost') wasLost = true;
  showState(STATE_LABELS[message.state]);
  // The browser gives no reason for the refusal. The answer to the fetch of a part shows whether the session has ended.
  if (message.state === 'refused') refresh(parts()[0].dataset.live);
}

function start() {
  stop();
  if (isSignedOut || !parts().length) return;
  stream = new SharedStream(state.dataset.stream, state.dataset.events.split(' '), receive, pause);
}

function stop() {
  stream?.close();
  stream = null;
}

if (state && parts().length) {
  document.addEventListener('visibilitychange', () => (document.hidden ? stop() : start())); // a hidden window has no connection
  addEventListener('pagehide', stop);
  addEventListener('pageshow', event => event.persisted && start());
  start();
}
