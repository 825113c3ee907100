// Makes previews of figures whole as they scroll into view, copies links and captions, and slides over the states of a
// study. A page is complete without this script: previews have their picture and a link to the figure with its table.

import { fetchDocument, replacePart } from './parts.js';

const observer = new IntersectionObserver(showVisible, { rootMargin: '300px' });

function showVisible(entries) {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    observer.unobserve(target);
    show(target);
  }
}

async function show(preview) {
  try {
    const page = await fetchDocument(preview.dataset.src);
    const fresh = page?.getElementById(preview.id);
    if (fresh && preview.isConnected) replacePart(preview, document.adoptNode(fresh));
  } catch {
    setTimeout(() => observer.observe(preview), 5000); // the preview stays until then, as without this script
  }
}

function prepare() {
  for (const preview of document.querySelectorAll('[data-preview]')) observer.observe(preview);
  const list = document.getElementById('state-at');
  if (list && !document.getElementById('state-slider')) addSlider(list);
}

const status = Object.assign(document.createElement('p'), { className: 'said' });
status.setAttribute('role', 'status');

async function copy(button) {
  const figure = button.closest('figure');
  const isLink = button.dataset.copy === 'link';
  const text = isLink ? new URL(figure.dataset.src, location.href).href : figure.querySelector('figcaption').textContent;
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = isLink ? 'Link copied' : 'Caption copied';
  } catch {
    status.textContent = 'The browser does not allow copying here';
  }
  const label = isLink ? 'Copy link' : 'Copy caption';
  button.textContent = status.textContent;
  setTimeout(() => { button.textContent = label; }, 2000);
}

// A slider over the states that the list beside it offers, the earliest at its left.
function addSlider(list) {
  const last = list.options.length - 1;
  const slider = Object.assign(document.createElement('input'), { type: 'range', id: 'state-slider', min: 0, max: last });
  const options = [...list.options].sort((a, b) => Number(a.dataset.order) - Number(b.dataset.order));
  const follow = () => {
    slider.value = options.indexOf(list.selectedOptions[0]);
    slider.setAttribute('aria-valuetext', list.selectedOptions[0].label);
  };
  slider.setAttribute('aria-label', 'Show the study as of');
  slider.addEventListener('input', () => {
    options[slider.valueAsNumber].selected = true;
    follow();
  });
  list.addEventListener('change', follow);
  list.after(slider);
  follow();
}

document.addEventListener('click', event => {
  const button = event.target.closest('[data-copy]');
  if (button) copy(button);
});
document.addEventListener('replaced', prepare);
if (navigator.clipboard) document.documentElement.classList.add('copies');
document.getElementById('main').append(status);
prepare();
