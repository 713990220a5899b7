// The call's line: microphone and loudspeaker on one side, the server's WebSocket on the other.
// The protocol is described in voicebot/telephony/browser/messages.py.

const PROTOCOL_VERSION = 1;
const CONNECT_TIMEOUT_MS = 10_000;
// More than this waiting to be sent (two seconds) means the network has stalled; newer audio matters more.
const MAX_UNSENT_BYTES = 16_000;

/** Why there is no call; `kind` is what the page explains to the caller. */
export class LineError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/** Asks for the microphone; throws a LineError whose kind says what is in the way. */
export async function openMicrophone() {
  if (!navigator.mediaDevices) throw new LineError("insecure", "no microphone on a page that is not secure");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
  } catch (error) {
    const kinds = { NotAllowedError: "refused", NotFoundError: "missing", NotReadableError: "busy" };
    throw new LineError(kinds[error.name] ?? "busy", error.message);
  }
}

/**
 * One call. Dispatches "caption", "level", "heard", "cleared", "unplugged" (the microphone went away) and, last and
 * once, "ended": CustomEvents whose detail is described where they are dispatched.
 */
export class Line extends EventTarget {
  constructor() {
    super();
    this.context = null;
    this.capture = null;
    this.playback = null;
    this.socket = null;
    this.microphone = null;
    this.ready = false;
    this.over = false;
    /** What went over the line so far, for whoever wants to look. */
    this.stats = { framesSent: 0, framesDropped: 0, bytesReceived: 0, played: 0, clears: 0, pauses: 0, keysSent: 0 };
  }

  /**
   * Connects and resolves when the server has taken the call. `microphone` may be null: then only keys are heard.
   * An agent's desk has a `ticket` already, for a `path` of its own.
   */
  async call(microphone, { path = "/browser/media", ticket = null } = {}) {
    this.microphone = microphone;
    try {
      await this.openAudio();
      await this.connect(path, ticket ?? (await fetchTicket()));
    } catch (error) {
      this.release();
      throw error;
    }
  }

  key(key) {
    this.tell({ type: "key", key });
    this.stats.keysSent += 1;
  }

  mute(muted) {
    this.capture?.port.postMessage({ muted });
  }

  hangUp() {
    this.tell({ type: "bye" });
    this.end({ cause: "hung_up", message: "" });
  }

  async openAudio() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    const here = new URL(".", import.meta.url);
    await Promise.all([
      this.context.audioWorklet.addModule(new URL("capture-worklet.js", here)),
      this.context.audioWorklet.addModule(new URL("playback-worklet.js", here)),
    ]);
    this.capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 1 });
    this.playback = new AudioWorkletNode(this.context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.capture.port.onmessage = ({ data }) => this.onFrame(data);
    this.playback.port.onmessage = ({ data }) => this.onPlayed(data);
    if (this.microphone) {
      this.context.createMediaStreamSource(this.microphone).connect(this.capture);
      this.microphone.getAudioTracks()[0].addEventListener("ended", () => this.dispatch("unplugged", {}));
    }
    // A worklet runs only when it leads somewhere; capture gives out silence.
    this.capture.connect(this.context.destination);
    this.playback.connect(this.context.destination);
    await this.context.resume();
  }

  connect(path, ticket) {
    const url = new URL(path, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail("unreachable"), CONNECT_TIMEOUT_MS);
      const fail = (kind, message = "") => {
        clearTimeout(timer);
        this.over = true;
        socket.close();
        reject(new LineError(kind, message));
      };
      socket.onopen = () => this.tell({ type: "hello", version: PROTOCOL_VERSION, ticket });
      socket.onclose = () => fail("unreachable");
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type !== "ready") {
          fail(message.cause ?? "unreachable", message.message);
          return;
        }
        clearTimeout(timer);
        this.ready = true;
        socket.onmessage = (event) => this.onMessage(event.data);
        socket.onclose = () => this.end({ cause: "lost", message: "" });
        resolve();
      };
    });
  }

  onMessage(data) {
    if (data instanceof ArrayBuffer) {
      this.stats.bytesReceived += data.byteLength;
      this.playback.port.postMessage({ audio: data }, [data]);
      return;
    }
    const message = JSON.parse(data);
    switch (message.type) {
      case "clear":
        this.stats.clears += 1;
        this.playback.port.postMessage({ clear: message });
        this.dispatch("cleared", message);
        break;
      case "caption": // {speaker, text, final}
        this.dispatch("caption", message);
        break;
      case "level": // {dbfs}: how loud the server hears the caller
        this.dispatch("heard", message);
        break;
      case "end": // {cause, message}
        this.end(message);
        break;
      default: // A newer server may tell us things that we do not know yet.
    }
  }

  onFrame({ frame, level }) {
    this.dispatch("level", { of: "caller", level });
    if (!this.ready || this.over) return;
    if (this.socket.bufferedAmount > MAX_UNSENT_BYTES) {
      this.stats.framesDropped += 1;
    } else {
      this.socket.send(frame);
      this.stats.framesSent += 1;
    }
  }

  onPlayed({ generation, position, level, pauses }) {
    this.stats.played = position;
    this.stats.pauses = pauses;
    this.dispatch("level", { of: "bot", level });
    // What has left the worklet is heard only once the device has played it.
    const delayMs = 1000 * (this.context?.outputLatency || this.context?.baseLatency || 0);
    setTimeout(() => this.tell({ type: "played", generation, position }), delayMs);
  }

  tell(message) {
    if (!this.over && this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  end(detail) {
    if (this.over) return;
    this.over = true;
    this.release();
    this.dispatch("ended", detail);
  }

  release() {
    this.socket?.close();
    this.microphone?.getTracks().forEach((track) => track.stop());
    if (this.context && this.context.state !== "closed") this.context.close();
  }

  dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

async function fetchTicket() {
  const answer = await fetch("/browser/ticket", { method: "POST" }).catch(() => null);
  if (answer?.status === 429) throw new LineError("too_many", "");
  if (!answer?.ok) throw new LineError("unreachable", "");
  return (await answer.json()).ticket;
}
