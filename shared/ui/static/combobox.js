// Offers terms while words are typed: a combobox with list autocomplete and manual selection, by the ARIA Authoring
// Practices. A chosen term stands in the field as its id, as it does after the button "Find".

const TYPING_PAUSE_MILLISECONDS = 200; // after the last letter
const MIN_LETTERS = 2;
const MAX_TERMS = 20; // as many as the server answers
const TERM_ID = /^[0-9.]{3,4}:[0-9]{4}$/;
const DICTIONARY = 'protocol.toxicity.dictionary'; // the field that chooses a version of CTCAE, in forms about the protocol
const STEPS = { ArrowDown: 1, ArrowUp: -1 };
const LEAVING_KEYS = ['ArrowLeft', 'ArrowRight', 'Home', 'End'];
const boxes = new WeakMap();

const makeElement = (name, properties) => Object.assign(document.createElement(name), properties);

class TermBox {
  constructor(input) {
    const label = input.labels[0].textContent.trim();
    this.input = input;
    this.status = makeElement('p', { role: 'status', className: 'term-status' });
    this.list = makeElement('ul', { role: 'listbox', id: `${input.id}-terms`, className: 'terms-list', hidden: true });
    input.after(this.list);
    input.closest('.field').append(this.status);
    this.list.setAttribute('aria-label', `Terms: ${label}`);
    input.setAttribute('role', 'combobox');
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-expanded', 'false');
    input.setAttribute('aria-controls', this.list.id);
    this.list.addEventListener('pointerdown', event => event.preventDefault()); // the focus stays in the field
    this.list.addEventListener('click', event => this.pick(event.target.closest('[role=option]')));
    input.addEventListener('input', () => {
      this.forget();
      this.search(TYPING_PAUSE_MILLISECONDS);
    });
    input.addEventListener('keydown', event => this.press(event));
    input.addEventListener('blur', () => this.stop());
  }

  get isOpen() {
    return !this.list.hidden;
  }

  get active() {
    return document.getElementById(this.input.getAttribute('aria-activedescendant') ?? '');
  }

  // The address that answers the terms for what is typed, and for the day and the dictionary that the form gives.
  address() {
    const fields = this.input.form.elements;
    const { finds, today, dayField } = this.input.dataset;
    const parameters = { q: this.input.value.trim(), today };
    const day = fields[dayField]?.value.trim() ?? '';
    if (day && day.length <= 10) parameters.on = day;
    const dictionary = fields[DICTIONARY]?.value;
    if (dictionary) parameters.dictionary = dictionary;
    return `${finds}?${new URLSearchParams(parameters)}`;
  }

  // Asks for terms once the person pauses. What was found for other words goes at once.
  search(delay) {
    this.stop();
    const typedText = this.input.value.trim();
    if (typedText.length < MIN_LETTERS || TERM_ID.test(typedText)) return;
    this.timer = setTimeout(() => this.ask(typedText), delay);
  }

  // An answer to words that have changed since is dropped, whenever it arrives.
  async ask(typedText) {
    const request = (this.request = new AbortController());
    const rows = await fetch(this.address(), { headers: { accept: 'application/json' }, signal: request.signal })
      .then(answer => (answer.ok ? answer.json() : Promise.reject(answer.status)))
      .then(answer => answer.rows)
      .catch(() => null);
    if (request !== this.request || typedText !== this.input.value.trim()) return;
    if (rows) this.show(rows);
    else this.status.textContent = 'Terms cannot be found here now. Press Find.';
  }

  show(rows) {
    this.list.replaceChildren(...rows.map(({ term, name }, index) => {
      const option = makeElement('li', { role: 'option', id: `${this.list.id}-${index}`, textContent: name });
      option.dataset.term = term;
      option.setAttribute('aria-selected', 'false');
      return option;
    }));
    this.expand(rows.length > 0);
    const count = rows.length === 1 ? '1 term' : `${rows.length} terms`;
    const found = rows.length < MAX_TERMS ? `${count} for these words` : `The first ${count} for these words`;
    this.status.textContent = rows.length ? `${found}. Choose with the arrow keys and Enter.` : 'No term for these words.';
  }

  expand(isOpen) {
    this.list.hidden = !isOpen;
    this.input.setAttribute('aria-expanded', String(isOpen));
    if (isOpen) this.list.scrollIntoView({ block: 'nearest' });
    else this.activate(null);
  }

  activate(option) {
    this.active?.setAttribute('aria-selected', 'false');
    if (!option) return this.input.removeAttribute('aria-activedescendant');
    option.setAttribute('aria-selected', 'true');
    this.input.setAttribute('aria-activedescendant', option.id);
    option.scrollIntoView({ block: 'nearest' });
  }

  step(by) {
    const options = [...this.list.children];
    const from = options.indexOf(this.active);
    const next = from < 0 && by < 0 ? options.length - 1 : (from + by + options.length) % options.length;
    this.activate(options[next]);
  }

  press(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const { key } = event;
    if (key in STEPS) {
      event.preventDefault();
      if (this.isOpen) this.step(STEPS[key]);
      else this.search(0);
    } else if (this.isOpen && key === 'Enter') {
      event.preventDefault(); // Enter sends the form only while no list is open
      this.pick(this.active);
    } else if (this.isOpen && key === 'Escape') {
      event.preventDefault();
      this.stop();
    } else if (LEAVING_KEYS.includes(key)) {
      this.activate(null);
    }
  }

  pick(option) {
    this.stop();
    if (!option) return;
    this.forget();
    this.input.value = option.dataset.term;
    this.input.after(makeElement('span', { className: 'beside', textContent: option.textContent }));
    this.status.textContent = `${option.textContent} is chosen.`;
    this.input.dispatchEvent(new Event('change', { bubbles: true }));
  }

  // Takes away what the server said about other words: its choices, and the name of a term.
  forget() {
    for (const part of this.input.closest('.field').querySelectorAll('.choices-list, .beside')) part.remove();
  }

  stop() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.request = null;
    this.status.textContent = '';
    this.expand(false);
  }
}

function enhance() {
  for (const input of document.querySelectorAll('form.fact-form input[data-finds]')) {
    if (!boxes.has(input)) boxes.set(input, new TermBox(input));
  }
}

enhance();
document.addEventListener('focusin', enhance); // rows that were added since have fields of their own
