// playground.js runs the playground's form without leaving the page. Without it the form is sent as any other, and the answer is the page of
// the run. What is shown of a run is stream.js's.

import { show, visible } from "./stream.js";

const form = document.getElementById("play");
const conversation = document.getElementById("conversation");
const prompt = document.getElementById("input");
const runButton = document.getElementById("run");
const stopButton = document.getElementById("stop");
const code = document.getElementById("code");
const codeButton = document.getElementById("show-code");
const general = document.getElementById("error-general");
const codeStatus = document.getElementById("code-status");
const servers = document.getElementById("servers");
const previous = form.elements.namedItem("previous_response_id");
const nonce = form.elements.namedItem("nonce");

// current is the run that is under way: {exchange, stop, labels, again, prompt, asked, decided, ended}.
let current = null;

// The exchange that came with the page is followed by stream.js, as any element with data-stream.
const shown = conversation.querySelector("[data-stream]");
if (shown) {
  const id = shown.closest("[data-run]").dataset.run;
  current = { id, stop: shown.dataset.stop, labels: {}, again: location.pathname + location.search, prompt: "", decided: new Map(), element: shown };
  if ("running" in shown.dataset) busy(true);
}

// busy says whether a run is under way. Of the two buttons one goes and the other comes: if the focus was on the one, it is on the other.
function busy(now) {
  const focused = document.activeElement;
  runButton.disabled = now;
  stopButton.hidden = !now;
  pending(runButton, false);
  stopping(false);
  if (now && focused === runButton) stopButton.focus();
  if (!now && focused === stopButton) runButton.focus();
}

function stopping(now) {
  pending(stopButton, now);
  stopButton.textContent = now ? "Stopping…" : "Stop";
}

// pending has a button do nothing for a moment. It is not disabled, which would take the focus from it.
function pending(button, now) {
  button.toggleAttribute("data-pending", now);
  if (now) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

function idle(button) {
  return !button.disabled && !("pending" in button.dataset);
}

// start sends the form. With decisions it answers approval requests instead of asking something new.
async function start(decisions) {
  if (!idle(runButton)) return;
  clearErrors();
  const data = new URLSearchParams(new FormData(form));
  data.set("action", "run");
  const text = decisions ? "" : prompt.value;
  if (decisions) {
    data.set("input", "");
    for (const [id, approve] of decisions) data.set("decide-" + id, approve ? "approve" : "deny");
  }
  pending(runButton, true);
  let answer;
  let body;
  try {
    answer = await fetch(form.getAttribute("action"), { method: "POST", body: data, headers: { Accept: "application/json" }, redirect: "manual" });
    if (signedOut(answer)) {
      fail("", "Your session has ended. Sign in again in another tab, then run this once more: what you wrote is still here.");
      return;
    }
    body = await answer.json();
  } catch {
    fail("", "The server cannot be reached. What you wrote is still here; running it again starts no second run.");
    return;
  }
  if (!answer.ok) {
    const wait = answer.headers.get("Retry-After");
    fail(body.field ?? "", body.error.message + (wait ? " (try again in " + wait + " s)" : ""));
    return;
  }
  nonce.value = body.nonce;
  document.getElementById("examples")?.remove();
  const exchange = newExchange(body, decisions ? decided(decisions) : text);
  conversation.append(exchange);
  current = {
    id: body.id, stop: body.stop, labels: body.labels, again: body.again, prompt: text, decided: new Map(), element: exchange.querySelector(".play-answer"),
  };
  if (text && prompt.value === text) prompt.value = "";
  busy(true);
  atEnd = true;
  show(current.element, body.events);
}

// signedOut reports whether the session has ended. A proxy that signs people in may say so with a redirect.
function signedOut(answer) {
  return answer.status === 401 || answer.type === "opaqueredirect";
}

function decided(decisions) {
  const words = [...decisions.values()].map((approve) => (approve ? "Approved." : "Denied."));
  return words.join(" ");
}

function newExchange(started, text) {
  const exchange = element("article", "exchange");
  exchange.dataset.run = started.id;
  const asked = element("div", "run-text", visible(text));
  asked.dir = "auto";
  const bubble = element("div", "play-prompt");
  bubble.append(element("h2", "hidden", "Prompt"), asked);
  const answer = element("div", "play-answer");
  answer.setAttribute("data-stream-decide", "");
  const links = element("p", "play-links");
  if (started.page) {
    const link = element("a", "", "Open the run");
    link.href = started.page;
    links.append(link);
  } else {
    links.append("This run is not stored.");
  }
  exchange.append(bubble, element("h2", "hidden", "Answer"), answer, links);
  return exchange;
}

// Who looks at the end of the conversation stays there while it grows.
let atEnd = true;
addEventListener("scroll", () => {
  atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
}, { passive: true });
new ResizeObserver(() => {
  if (atEnd && !stopButton.hidden) scrollTo(0, document.documentElement.scrollHeight);
}).observe(conversation);

// What becomes of the run.

conversation.addEventListener("stream:end", (event) => {
  if (!current || event.target !== current.element) return;
  const response = event.detail.response;
  busy(false);
  current.asked = response.output.filter((item) => item.type === "mcp_approval_request").map((item) => item.id);
  current.ended = true;
  if (response.status === "failed") {
    if (!prompt.value) prompt.value = current.prompt;
    const label = /^MCP server "([A-Za-z0-9_-]{1,64})"/.exec(response.error?.message ?? "")?.[1];
    if (label && current.labels[label]) fail(current.labels[label], response.error.message);
    return;
  }
  goOn(current.id, current.again);
  answerApprovals();
});

conversation.addEventListener("stream:lost", (event) => {
  if (current && event.target === current.element) busy(false);
});

conversation.addEventListener("stream:decide", (event) => {
  if (!current || event.target !== current.element) return;
  current.decided.set(event.detail.item.id, event.detail.approve);
  answerApprovals();
});

// answerApprovals sends the answers once there is one to each request, and the run that asks has ended.
function answerApprovals() {
  if (!current.ended || current.asked.length === 0 || !current.asked.every((id) => current.decided.has(id))) return;
  start(current.decided);
}

// goOn makes the form one that goes on with a response; empty: with none.
function goOn(id, address) {
  previous.value = id;
  document.getElementById("going").hidden = !id;
  document.getElementById("going-with").textContent = id;
  history.replaceState(null, "", address);
}

stopButton.addEventListener("click", async () => {
  if (!idle(stopButton)) return;
  stopping(true);
  try {
    const answer = await fetch(current.stop, { method: "POST", headers: { Accept: "application/json" }, redirect: "manual" });
    if (answer.ok) return; // its last event follows
    fail("", signedOut(answer) ? "Your session has ended: sign in again to stop the run." : (await answer.json()).error.message, true);
  } catch {
    fail("", "The server cannot be reached, so the run was not asked to stop. Try again.", true);
  }
});

document.getElementById("new").addEventListener("click", (event) => {
  if (!idle(runButton)) return; // the page is loaded anew, and the run goes on
  event.preventDefault();
  clearErrors();
  conversation.replaceChildren();
  current = null;
  goOn("", location.pathname);
  prompt.value = "";
  prompt.focus();
});

// The form.

form.addEventListener("submit", (event) => {
  const action = event.submitter?.value ?? "run";
  if (action === "code") return; // htmx's
  event.preventDefault();
  if (action === "add-server") addServer();
  else if (action.startsWith("remove-server-")) removeServer(event.submitter.closest(".play-server"));
  else start();
});

prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    start();
  }
});

// The code follows the form while it is shown. Who has asked for it hears that it is there; what follows by itself interrupts nobody.
let soon;
let follows = false;
form.addEventListener("input", () => {
  clearTimeout(soon);
  if (code.childElementCount > 0) {
    soon = setTimeout(() => {
      follows = true;
      codeButton.click();
      follows = false;
    }, 500);
  }
});
codeButton.addEventListener("htmx:beforeRequest", () => {
  codeStatus.textContent = "";
  codeButton.toggleAttribute("data-follows", follows);
});
for (const name of ["htmx:responseError", "htmx:sendError"]) {
  codeButton.addEventListener(name, (event) => {
    const status = event.detail.xhr?.status;
    if (status === 401) tell("", "Your session has ended. Sign in again in another tab, then show the code once more.");
    else if (status) tell("", saidBy(event.detail.xhr) || "The code cannot be shown: the server answered with status " + status + ". Try again.");
    else tell("", "The server cannot be reached, so the code is not up to date. Try again.");
    general.dataset.code = ""; // for as long as the code cannot be shown
  });
}

// saidBy is what the page of an error says.
function saidBy(xhr) {
  return new DOMParser().parseFromString(xhr.responseText, "text/html").querySelector("main p")?.textContent.trim();
}
code.addEventListener("toggle", (event) => {
  if (event.target.open) code.dataset.open = event.target.querySelector("pre").id;
}, true);
code.addEventListener("htmx:afterSettle", () => {
  if ("code" in general.dataset) general.hidden = true;
  if (!("follows" in codeButton.dataset)) codeStatus.textContent = "The code of the request is shown below.";
  const before = document.getElementById(code.dataset.open ?? "");
  if (before) before.closest("details").open = true;
});

function addServer() {
  const blank = document.getElementById("server-template").content.firstElementChild;
  const taken = [...servers.querySelectorAll(".play-server")].map((row) => Number(row.dataset.server));
  const index = String(Math.max(-1, ...taken) + 1);
  const row = blank.cloneNode(true);
  const from = blank.dataset.server;
  for (const node of [row, ...row.querySelectorAll("*")]) {
    for (const attribute of [...node.attributes]) {
      attribute.value = attribute.value.replaceAll("server-" + from, "server-" + index);
    }
  }
  row.dataset.server = index;
  servers.append(row);
  row.querySelector("input").focus();
}

// removeServer moves the focus, which was on the row's button, to the row that takes its place.
function removeServer(row) {
  const next = row.nextElementSibling?.querySelector("input") ?? document.getElementById("add-server");
  row.remove();
  next.focus();
}

// fail is tell for a run that did not begin, or, if it goes on, could not be stopped.
function fail(field, message, goesOn) {
  if (goesOn) stopping(false);
  else busy(false);
  tell(field, message);
}

// tell says what is wrong at the field that it is wrong with, or above the form.
function tell(field, message) {
  const place = form.querySelector('[data-error="' + CSS.escape(field) + '"]') ?? form.querySelector('[data-error=""]');
  if (place === general) delete general.dataset.code;
  place.textContent = visible(message);
  place.hidden = false;
  for (let box = place.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  const control = place.dataset.error && document.getElementById(place.dataset.error);
  if (control) {
    control.setAttribute("aria-invalid", "true");
    control.focus();
  } else {
    place.scrollIntoView({ block: "nearest" });
  }
}

function clearErrors() {
  for (const place of form.querySelectorAll("[data-error]")) {
    place.hidden = true;
    place.textContent = "";
  }
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}
