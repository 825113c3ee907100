// One event stream for all windows of a browser that show the same study. Over HTTP/1.1 a browser opens six connections
// to a server, and a stream occupies one of them: with a stream of each window, the seventh window would not load.

const MAX_STREAMS = 4; // studies that are live at once; two connections are left for pages and their parts
const RETRY_MILLISECONDS = 2_000;
const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// Calls `receive` with {event, data} for each version of a part, and with {state} at each change of the connection: open,
// lost, refused, full. `pause` returns the milliseconds to wait before the next attempt to connect.
export class SharedStream {
  constructor(address, events, receive, pause) {
    Object.assign(this, { address, events, receive, pause, latest: new Map(), ending: new AbortController() });
    if (!navigator.locks) return void this.lead(); // browsers have no locks over plain HTTP: each window has a stream
    this.channel = new BroadcastChannel(address);
    this.channel.onmessage = ({ data }) => (data.hello ? this.repeatLatest() : this.handle(data));
    this.channel.postMessage({ hello: true });
    this.claim(`stream ${address}`, {}, () => this.leadWithinLimit()).catch(() => {}); // refused when this stream closes
  }

  close() {
    this.ending.abort();
    this.source?.close();
    this.channel?.close();
    this.resign?.();
  }

  claim(name, options, work) {
    const signal = options.ifAvailable ? {} : { signal: this.ending.signal };
    return navigator.locks.request(name, { ...options, ...signal }, work);
  }

  async leadWithinLimit() {
    while (!this.ending.signal.aborted) {
      for (let number = 0; number < MAX_STREAMS; number++) {
        if (await this.claim(`connection ${number}`, { ifAvailable: true }, lock => lock && this.lead())) return;
      }
      this.broadcast({ state: 'full' });
      await wait(RETRY_MILLISECONDS);
    }
  }

  // Keeps the stream open until this window is closed or hidden. Then another window opens it.
  async lead() {
    if (this.ending.signal.aborted) return true;
    this.isLeader = true;
    this.open();
    await new Promise(resolve => (this.resign = resolve));
    return true;
  }

  open() {
    if (this.ending.signal.aborted) return;
    this.source = new EventSource(this.address);
    for (const event of this.events) this.source.addEventListener(event, ({ data }) => this.broadcast({ event, data }));
    this.source.onopen = () => this.broadcast({ state: 'open' });
    this.source.onerror = () => {
      const isRefused = this.source.readyState === EventSource.CLOSED; // the answer is no stream: the browser does not retry
      this.broadcast({ state: isRefused ? 'refused' : 'lost' });
      if (isRefused) setTimeout(() => this.open(), this.pause());
    };
  }

  broadcast(message) {
    this.handle(message);
    if (!this.ending.signal.aborted) this.channel?.postMessage(message);
  }

  handle(message) {
    if (this.ending.signal.aborted) return;
    this.latest.set(message.event ?? 'state', message);
    this.receive(message);
  }

  // Sends the latest messages to a window that was just opened.
  repeatLatest() {
    if (this.isLeader) for (const message of this.latest.values()) this.channel.postMessage(message);
  }
}
