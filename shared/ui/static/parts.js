// Gets parts of a page again, and replaces them.

import { renew } from './session.js';

const fetchPage = address => fetch(address, { headers: { accept: 'text/html' }, redirect: 'manual', cache: 'no-cache' });
const isRefused = answer => answer.status === 401 || answer.type === 'opaqueredirect'; // a redirect to the sign-in

// Returns the document at an address; null if the session has ended.
export async function fetchDocument(address) {
  let answer = await fetchPage(address);
  if (isRefused(answer) && (await renew())) answer = await fetchPage(address);
  if (isRefused(answer)) return null;
  if (!answer.ok) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), 'text/html');
}

// Replaces a part and keeps opened and closed tables, ticked boxes, scroll positions and focus. Elements are identified
// by their ids.
export function replacePart(old, fresh) {
  const open = [...old.querySelectorAll('details')].map(details => [details.id, details.open]);
  const ticked = [...old.querySelectorAll('input[type="checkbox"]')].filter(box => box.checked).map(box => box.id);
  const scrolled = [...old.querySelectorAll('.scroll')].map(box => [box.id, box.scrollLeft, box.scrollTop]);
  const focus = old.contains(document.activeElement) ? document.activeElement.id : '';
  old.replaceWith(fresh);
  for (const [id, isOpen] of open) document.getElementById(id)?.toggleAttribute('open', isOpen);
  for (const id of ticked) document.getElementById(id)?.toggleAttribute('checked', true);
  for (const [id, left, top] of scrolled) document.getElementById(id)?.scrollTo(left, top);
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  document.dispatchEvent(new Event('replaced'));
}
