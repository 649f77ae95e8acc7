// @ts-check
// The websocket to the demo: what happens there comes in as events, what we wish goes out and is answered.

const FIRST_WAIT = 300;
const LONGEST_WAIT = 5000;

/** What the demo refused. `failed`: the bot did not answer in time. */
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
    this._wait = FIRST_WAIT;
    this._last = 0;
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
    this._asked = new Map();
    this._open();
  }

  /**
   * Wish for something and wait for the answer.
   * @param {string} what
   * @param {Record<string, unknown>} [details]
   * @returns {Promise<any>}
   */
  ask(what, details = {}) {
    if (this._socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Refused("The demo is not running. Start it again with make demo.", true));
    }
    const id = ++this._last;
    this._socket.send(JSON.stringify({ id, do: what, ...details }));
    return new Promise((resolve, reject) => this._asked.set(id, { resolve, reject }));
  }

  _open() {
    this._socket = new WebSocket(`ws://${location.host}/live`);
    this._socket.addEventListener("open", () => {
      this._wait = FIRST_WAIT;
      this._onOnline(true);
    });
    this._socket.addEventListener("message", (frame) => this._receive(JSON.parse(frame.data)));
    this._socket.addEventListener("close", () => this._closed());
  }

  /** @param {any} event */
  _receive(event) {
    if (event.type !== "reply") {
      this._onEvent(event);
      return;
    }
    const asked = this._asked.get(event.id);
    this._asked.delete(event.id);
    if (event.ok) asked?.resolve(event.value);
    else asked?.reject(new Refused(event.error, event.failed));
  }

  _closed() {
    this._onOnline(false);
    for (const asked of this._asked.values()) asked.reject(new Refused("The connection was lost.", true));
    this._asked.clear();
    setTimeout(() => this._open(), this._wait);
    this._wait = Math.min(this._wait * 2, LONGEST_WAIT);
  }
}
