// One EventSource that knows when it is dead. The server sends something at least once a second; when nothing came for
// `stallSeconds` (two once the connection broke), the state is "stale" until something comes again. A browser's own
// reconnection gives up on some answers (503, a proxy's page) and never notices a silent connection: so both are ours.

/** Once the connection is known to be broken. Shorter, and each restart of the server would flash the page. */
const brokenSeconds = 2;

export class LiveStream {
  /**
   * @param address without the resume parameter: `after` is added when a connection is opened again
   * @param handlers event name → function(data, event)
   * @param onState function(state, sinceMilliseconds) with "connecting", "live" or "stale"
   */
  constructor(address, { handlers, onState, stallSeconds = 5, now = () => performance.now() }) {
    Object.assign(this, { address, handlers, onState, stallSeconds, now });
    this.state = "connecting";
    this.lastEventID = null;
    this.heardAt = now();
    this.retryMilliseconds = 500;
  }

  open() {
    this.connect();
    this.watch = setInterval(() => this.look(), 250);
    this.listening = new AbortController();
    const { signal } = this.listening;
    // A laptop that wakes, a network that comes back: try at once.
    addEventListener("online", () => this.reconnect(), { signal });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.look();
    }, { signal });
  }

  /** For good. */
  close() {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    this.listening?.abort();
    this.source?.close();
    this.source = null;
  }

  connect() {
    const address = new URL(this.address, location.href);
    if (this.lastEventID) address.searchParams.set("after", this.lastEventID);
    const source = new EventSource(address);
    this.source = source;
    this.openedAt = this.now();
    source.onerror = () => {
      if (source === this.source) this.lost();
    };
    for (const [name, handler] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        if (event.lastEventId) this.lastEventID = event.lastEventId;
        this.heard();
        handler(event.data ? JSON.parse(event.data) : null, event);
      });
    }
  }

  heard() {
    this.heardAt = this.now();
    this.retryMilliseconds = 500;
    this.become("live");
  }

  /** Seconds since anything was heard. */
  get silentSeconds() {
    return (this.now() - this.heardAt) / 1000;
  }

  look() {
    const isBroken = this.source === null || this.source.readyState !== EventSource.OPEN;
    const limit = this.stallSeconds * 1000;
    if (this.now() - this.heardAt < (isBroken ? brokenSeconds * 1000 : limit)) return;
    this.become("stale");
    // Open, yet silent: the connection is dead on one side. Give a new one its time before the next.
    if (this.source && this.now() - this.openedAt >= limit) this.reconnect();
  }

  lost() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.retryMilliseconds);
    this.retryMilliseconds = Math.min(5_000, this.retryMilliseconds * 1.5);
  }

  reconnect() {
    clearTimeout(this.timer);
    this.source?.close();
    this.connect();
  }

  become(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state, this.heardAt);
  }
}
