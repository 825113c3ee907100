// One event stream for all windows of a browser that show the same study. Over HTTP/1.1 a browser opens six connections
// to a server, and a stream keeps one for itself: a stream of each window would keep the seventh window from loading.

const STREAMS = 4; // studies that are live at once; two connections are left for pages and their parts
const AGAIN = 2_000; // milliseconds
const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// Tells `heard` {event, data} for each version of a part, and {state} whenever that changes: open, lost, refused, full.
export class SharedStream {
  constructor(address, events, heard, pause) {
    Object.assign(this, { address, events, heard, pause, latest: new Map(), ending: new AbortController() });
    if (!navigator.locks) return void this.lead(); // over plain HTTP from another machine: a stream of each window
    this.channel = new BroadcastChannel(address);
    this.channel.onmessage = ({ data }) => (data.hello ? this.repeat() : this.hear(data));
    this.channel.postMessage({ hello: true });
    this.claim(`stream ${address}`, {}, () => this.leadWithinLimit()).catch(() => {}); // refused when it is closed
  }

  close() {
    this.ending.abort();
    this.source?.close();
    this.channel?.close();
    this.leaves?.();
  }

  claim(name, options, work) {
    const signal = options.ifAvailable ? {} : { signal: this.ending.signal };
    return navigator.locks.request(name, { ...options, ...signal }, work);
  }

  async leadWithinLimit() {
    while (!this.ending.signal.aborted) {
      for (let place = 0; place < STREAMS; place++) {
        if (await this.claim(`connection ${place}`, { ifAvailable: true }, lock => lock && this.lead())) return;
      }
      this.tell({ state: 'full' });
      await wait(AGAIN);
    }
  }

  // Holds the stream until this window is closed or hidden; then the next window takes over.
  async lead() {
    if (this.ending.signal.aborted) return true;
    this.leads = true;
    this.open();
    await new Promise(resolve => (this.leaves = resolve));
    return true;
  }

  open() {
    if (this.ending.signal.aborted) return;
    this.source = new EventSource(this.address);
    for (const event of this.events) this.source.addEventListener(event, ({ data }) => this.tell({ event, data }));
    this.source.onopen = () => this.tell({ state: 'open' });
    this.source.onerror = () => {
      const gone = this.source.readyState === EventSource.CLOSED; // an answer that is no stream: the browser gives up
      this.tell({ state: gone ? 'refused' : 'lost' });
      if (gone) setTimeout(() => this.open(), this.pause());
    };
  }

  tell(message) {
    this.hear(message);
    if (!this.ending.signal.aborted) this.channel?.postMessage(message);
  }

  hear(message) {
    if (this.ending.signal.aborted) return;
    this.latest.set(message.event ?? 'state', message);
    this.heard(message);
  }

  // For a window that has just been opened.
  repeat() {
    if (this.leads) for (const message of this.latest.values()) this.channel.postMessage(message);
  }
}
