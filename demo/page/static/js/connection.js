// @ts-check
// The websocket to the demo's server: it sends events, and performs the page's actions.

// Milliseconds before the next attempt to connect.
const MIN_WAIT = 300;
const MAX_WAIT = 5000;

/** An action that the demo refused. `failed`: the bot did not answer in time. */
export class Refused extends Error {
  /** @param {string} message @param {boolean} failed */
  constructor(message, failed) {
    super(message);
    this.failed = failed;
  }
}

export class Connection {
  /**
   * @param {(event: any) => void} onEvent
   * @param {(online: boolean) => void} onOnline
   */
  constructor(onEvent, onOnline) {
    this._onEvent = onEvent;
    this._onOnline = onOnline;
    this._wait = MIN_WAIT;
    this._last = 0;
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
    this._pending = new Map();
    this._socket = this._open();
  }

  /**
   * Perform an action on the server and wait for its reply.
   * @param {string} action
   * @param {Record<string, unknown>} [details]
   * @returns {Promise<any>}
   */
  perform(action, details = {}) {
    if (this._socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Refused("The demo is not running. Start it again with make demo.", true));
    }
    const id = ++this._last;
    this._socket.send(JSON.stringify({ id, action, ...details }));
    return new Promise((resolve, reject) => this._pending.set(id, { resolve, reject }));
  }

  _open() {
    const socket = new WebSocket(`ws://${location.host}/live`);
    socket.addEventListener("open", () => {
      this._wait = MIN_WAIT;
      this._onOnline(true);
    });
    socket.addEventListener("message", (frame) => this._receive(JSON.parse(frame.data)));
    socket.addEventListener("close", () => this._closed());
    return socket;
  }

  /** @param {any} event */
  _receive(event) {
    if (event.type !== "reply") {
      this._onEvent(event);
      return;
    }
    const pending = this._pending.get(event.id);
    this._pending.delete(event.id);
    if (event.ok) pending?.resolve(event.value);
    else pending?.reject(new Refused(event.error, event.failed));
  }

  _closed() {
    this._onOnline(false);
    for (const pending of this._pending.values()) pending.reject(new Refused("The connection was lost.", true));
    this._pending.clear();
    setTimeout(() => (this._socket = this._open()), this._wait);
    this._wait = Math.min(this._wait * 2, MAX_WAIT);
  }
}
