// follow.js reads the events of a response, in order and once, however often the connection is lost on the way. It is a module without
// dependencies; stream.js shows what it reads.

const firstWait = 500; // ms before a lost stream is asked for again, doubled each time
const lastWait = 8000;
const maxAttempts = 60; // without any event in between
const silence = 45000; // ms after which a connection counts as lost: a starter says that it is there every 15 s

// follow calls onEvent with each event of a stream, in order and once, until the last. onState hears {state, status, message}: "open",
// "waiting" before another attempt, and "lost". It returns how to stop.
export function follow(address, { onEvent, onState = () => {} }) {
  let after = -1;
  let attempts = 0;
  let ended = false;
  let wake = () => {};
  let cut = new AbortController();

  const hurry = () => wake();
  window.addEventListener("online", hurry);
  const stop = () => {
    ended = true;
    window.removeEventListener("online", hurry);
    cut.abort();
    wake();
  };

  const take = (event) => {
    if (typeof event.sequence_number !== "number" || event.sequence_number <= after) return;
    after = event.sequence_number;
    attempts = 0;
    onEvent(event);
    if (/^response\.(completed|failed|incomplete)$/.test(event.type)) stop();
  };

  // once reads one connection to its end. It returns how many ms to wait before the next one at least, or throws Refused.
  const once = async () => {
    cut = new AbortController();
    let timer;
    const touch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => cut.abort(), silence);
    };
    touch();
    try {
      const url = new URL(address, document.baseURI);
      if (after >= 0) url.searchParams.set("starting_after", String(after));
      const answer = await fetch(url, { headers: { Accept: "text/event-stream" }, cache: "no-store", redirect: "manual", signal: cut.signal });
      if (answer.type === "opaqueredirect") throw new Refused(401, "Your session has ended."); // we send people to sign in
      if (!answer.ok) {
        const problem = await problemOf(answer);
        const passes = answer.status === 429 || answer.status >= 500;
        if (!passes) throw new Refused(answer.status, problem);
        return 1000 * (Number(answer.headers.get("Retry-After")) || 0);
      }
      onState({ state: "open" });
      for await (const data of messages(answer.body, touch)) {
        if (ended) return 0;
        if (data !== "[DONE]") take(JSON.parse(data));
      }
      return 0;
    } catch (error) {
      if (error instanceof Refused) throw error;
      if (!(error instanceof TypeError) && error.name !== "AbortError") console.error(error);
      return 0; // cut off: the network, a starter that stops, or silence
    } finally {
      clearTimeout(timer);
    }
  };

  const run = async () => {
    while (!ended) {
      let least = 0;
      try {
        least = await once();
      } catch (refused) {
        if (!ended) onState({ state: "lost", status: refused.status, message: refused.message });
        stop();
        return;
      }
      if (ended) return;
      if (++attempts > maxAttempts) {
        onState({ state: "lost", status: 0, message: "The server does not answer." });
        stop();
        return;
      }
      onState({ state: "waiting" });
      const wait = Math.max(least, Math.min(lastWait, firstWait * 2 ** (attempts - 1)) * (0.75 + Math.random() / 2));
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  run();
  return stop;
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// problemOf is what an answer that is no stream says in the API's words.
export async function problemOf(answer) {
  try {
    const body = await answer.json();
    if (typeof body.error.message === "string") return body.error.message;
  } catch {
    // Not ours: a proxy's page, say.
  }
  return "The server answered with status " + answer.status + ".";
}

// messages are the data of a stream of server-sent events. touch is called whenever something comes, if only a comment.
async function* messages(body, touch) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  let seen = 0; // of the buffer, in which no message ends
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      touch();
      buffer += decoder.decode(value, { stream: true });
      let end;
      let begin = 0;
      while ((end = buffer.indexOf("\n\n", Math.max(begin, seen))) >= 0) {
        const lines = buffer.slice(begin, end).split("\n").filter((line) => line.startsWith("data:"));
        begin = end + 2;
        seen = 0;
        if (lines.length > 0) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
      }
      buffer = buffer.slice(begin);
      seen = Math.max(0, buffer.length - 1);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
