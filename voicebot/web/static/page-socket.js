// A page's WebSocket to the server: opened again whenever it is lost, until the user is signed out.

const SIGNED_OUT = 4401;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;

/** Dispatches "message" (detail: the parsed message), "open" and "lost". */
export class PageSocket extends EventTarget {
  constructor(path) {
    super();
    this.url = new URL(path, location.href);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.retryMs = FIRST_RETRY_MS;
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.url);
    this.socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.dispatchEvent(new CustomEvent("open"));
    };
    this.socket.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(data) }));
    this.socket.onclose = ({ code }) => {
      if (code === SIGNED_OUT) {
        location.href = `/sign-in?then=${encodeURIComponent(location.pathname)}`;
        return;
      }
      this.dispatchEvent(new CustomEvent("lost"));
      setTimeout(() => this.open(), this.retryMs);
      this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
    };
  }

  /** Sends a message; false when there is no connection to send it over. */
  tell(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
}
