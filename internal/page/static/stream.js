// stream.js shows a response while it is made. It is a module without dependencies, for every page that has one to show.
//
// In a page:
//
//   Frame{Styles: []string{"stream.css"}, Scripts: []string{"stream.js"}}
//
//   <div data-stream="/runs/resp_…/events" data-stream-decide></div>
//
// Each element with data-stream is filled as soon as the page is there, in place of what it held. The address must answer as
// GET /v1/responses/{id}?stream=true does, under the browser's session; ?starting_after=N is added when the stream is resumed. With
// data-stream-decide, approval requests get buttons; without it they only tell what is asked.
//
// From another module:
//
//   import { show } from "./stream.js";
//   const shown = show(element, "/runs/resp_…/events");
//   shown.stop();   // stops reading; the run goes on
//
// The element fires events, which bubble. Their detail is:
//
//   stream:begin   {response}        once, with the response as it was when the run began
//   stream:item    {item}            for each item that is done; again if it is replaced
//   stream:end     {response}        once, with the final response
//   stream:lost    {status, message} when the stream cannot be had and is not asked for any more; status 0: nobody answers
//   stream:decide  {item, approve}   when a person has decided about an approval request; whoever listens sends the answer
//
// A lost connection is taken up again after the last event that was seen, whoever was lost: the network, a starter or a worker. All text
// comes from models, tools and servers, so it becomes text nodes and nothing else, and characters that would hide or reorder what stands
// around them are shown by their numbers. stream.css has how it looks. Screen readers hear of each step, not of each word.

import { follow } from "./follow.js";

const shortText = 1500; // characters of a tool's text that are shown at once
const shortLines = 24;
const wholeText = 2000000; // characters that are shown at all; the rest is on the API

// show fills an element with a response while it is made.
export function show(root, address) {
  const view = new View(root);
  const fire = (name, detail) => root.dispatchEvent(new CustomEvent("stream:" + name, { bubbles: true, detail }));
  view.onDecide = (item, approve) => fire("decide", { item, approve });
  const stop = follow(address, {
    onEvent: (event) => {
      view.apply(event);
      if (event.type === "response.created") fire("begin", { response: event.response });
      if (event.type === "response.output_item.done") fire("item", { item: event.item });
      if (/^response\.(completed|failed|incomplete)$/.test(event.type)) fire("end", { response: event.response });
    },
    onState: (now) => {
      view.connection(now);
      if (now.state === "lost") fire("lost", { status: now.status, message: now.message });
    },
  });
  return { stop };
}

// View is what a person sees of a response. It knows events, and nothing of where they come from.
class View {
  constructor(root) {
    this.places = new Map(); // by output_index
    this.decides = root.hasAttribute("data-stream-decide");
    this.items = make("div", { class: "run-items" });
    this.status = make("p", { class: "run-status", role: "status" });
    this.end = make("div", { class: "run-end" });
    this.onDecide = () => {};
    root.classList.add("run");
    this.items.setAttribute("aria-busy", "true"); // not the root: what is busy is not announced
    root.replaceChildren(this.items, this.status, this.end);
    this.root = root;
    this.say("Starting…", "working");
  }

  // say tells of a step. The element is a live region, so it is heard as well, and must not change with every word.
  say(text, state) {
    this.status.dataset.state = state;
    const shown = visible(text);
    if (this.status.textContent !== shown) this.status.textContent = shown;
    if (state !== "away") this.said = [text, state];
  }

  connection({ state, status, message }) {
    switch (state) {
      case "open":
        if (this.said) this.say(...this.said);
        return;
      case "waiting":
        this.say("The connection was lost. The run goes on; asking again…", "away");
        return;
      case "lost":
        this.items.removeAttribute("aria-busy");
        this.say("This page cannot follow the run any more; the run is not affected.", "failed");
        this.end.replaceChildren(problem(message, remedies[status] ?? "Reload the page to see where the run is."));
    }
  }

  apply(event) {
    const place = this.places.get(event.output_index);
    switch (event.type) {
      case "response.queued":
        this.say("Waiting for a worker…", "working");
        break;
      case "response.in_progress":
        this.say("Started.", "working");
        break;
      case "response.output_item.added":
        this.begin(event.output_index, event.item);
        break;
      case "response.output_item.done":
        if (!place || place.id !== event.item.id) this.begin(event.output_index, event.item);
        this.places.get(event.output_index).done(event.item);
        break;
      case "response.completed":
      case "response.failed":
      case "response.incomplete":
        this.finish(event.response);
        break;
      default:
        if (place && place.id === event.item_id) place.event(event);
    }
  }

  // begin shows an item that was begun, in place of one that was given up.
  begin(index, item) {
    const place = newPlace(item, this);
    const before = this.places.get(index);
    if (before) {
      before.element.replaceWith(place.element);
    } else {
      this.items.append(place.element);
    }
    this.places.set(index, place);
  }

  finish(response) {
    const counts = new Set(response.output.map((item) => item.id));
    for (const [index, place] of this.places) {
      if (counts.has(place.id)) continue;
      place.element.remove();
      this.places.delete(index);
    }
    this.items.removeAttribute("aria-busy");
    this.root.dataset.status = response.status;
    const asked = response.output.filter((item) => item.type === "mcp_approval_request").length;
    const [text, state, remedy] = ending(response, asked);
    this.say(text, state);
    const said = response.error ? problem(response.error.message, remedy) : remedy && make("p", { class: "run-remedy" }, remedy);
    this.end.replaceChildren(...[said, usage(response)].filter(Boolean));
  }
}

// ending says in words how a response ended, and what can be done about it.
function ending(response, asked) {
  const reason = response.incomplete_details?.reason;
  switch (response.status) {
    case "completed":
      if (asked > 0) return [asked === 1 ? "A tool call waits for approval." : asked + " tool calls wait for approval.", "waiting"];
      if (response.output.at(-1)?.type === "function_call") return ["The model asks for a function of the client.", "waiting"];
      return ["Completed.", "done"];
    case "failed":
      return ["Failed.", "failed", remedies[response.error?.type] ?? remedies[response.error?.code]];
    case "cancelled":
      return ["Stopped.", "stopped"];
    default:
      return ["Incomplete" + (reason ? ": " + (reasons[reason] ?? reason) : "") + ".", "stopped", remedies[reason]];
  }
}

const reasons = {
  max_output_tokens: "the answer is longer than its limit",
  max_steps: "the model still asked for tools in its last step",
  content_filter: "the provider's filter cut the answer off",
};

// remedies are what a person can do, by status of an answer, type or code of an error, or reason.
const remedies = {
  401: "Sign in again, then reload this page.",
  403: "Ask an admin of your organization for access.",
  404: "The run was deleted, or belongs to another organization.",
  external_connector_error: "Check the server's address, its authorization and whether it is reachable, then run it again.",
  response_failed: "Check the model's name and its provider's settings, or choose another model.",
  bad_gateway: "The run was ended from outside, or its provider failed: run it again.",
  gateway_timeout: "Ask for less in one run, or ask the operator for a longer time limit.",
  service_unavailable: "Try again in a moment.",
  internal_error: "Try again; the operator finds the details in the log.",
  max_output_tokens: "Allow more output tokens, or ask for a shorter answer.",
  max_steps: "Allow more steps, or ask for less at once.",
};

// newPlace returns what shows an item: {id, element, event, done}.
function newPlace(item, view) {
  switch (item.type) {
    case "message":
      return messagePlace(item, view);
    case "reasoning":
      return reasoningPlace(item, view);
    case "mcp_list_tools":
      return listPlace(item, view);
    case "mcp_call":
      return callPlace(item, view, item.server_label);
    case "function_call":
      return callPlace(item, view, "your function");
    case "mcp_approval_request":
      return approvalPlace(item, view);
    default:
      return otherPlace(item);
  }
}

function messagePlace(item, view) {
  const parts = [];
  const element = make("article", { class: "run-message", dir: "auto", "aria-label": "Answer" });
  const part = (k, refusal) => {
    if (!parts[k]) {
      const text = document.createTextNode("");
      const block = make("div", { class: refusal ? "run-text run-refusal" : "run-text" });
      if (refusal) block.append(make("strong", {}, "The model refuses: "));
      block.append(text);
      element.append(block);
      parts[k] = text;
      view.say(refusal ? "The model refuses." : "The answer is being written…", "working");
    }
    return parts[k];
  };
  return {
    id: item.id,
    element,
    event(e) {
      if (e.type === "response.output_text.delta") part(e.content_index, false).appendData(visible(e.delta));
      if (e.type === "response.refusal.delta") part(e.content_index, true).appendData(visible(e.delta));
    },
    done(whole) {
      whole.content.forEach((p, k) => setData(part(k, p.type === "refusal"), visible(p.text ?? p.refusal ?? "")));
      if (whole.status === "incomplete") element.append(make("p", { class: "run-note" }, "The answer was cut off here."));
    },
  };
}

function reasoningPlace(item, view) {
  const parts = [];
  const box = make("div", { class: "run-fold-body run-text", dir: "auto" });
  const element = make("details", { class: "run-fold run-reasoning" }, make("summary", {}, make("span", { class: "run-name" }, "Reasoning")), box);
  const part = (k) => {
    if (!parts[k]) {
      const text = document.createTextNode("");
      box.append(make("p", {}, text));
      parts[k] = text;
      view.say("The model thinks…", "working");
    }
    return parts[k];
  };
  return {
    id: item.id,
    element,
    event(e) {
      if (e.type === "response.reasoning_summary_text.delta") part(e.summary_index).appendData(visible(e.delta));
    },
    done(whole) {
      whole.summary.forEach((p, k) => setData(part(k), visible(p.text)));
      element.hidden = whole.summary.length === 0;
    },
  };
}

function listPlace(item, view) {
  const state = stateTag("working", "listing tools…");
  const body = make("div", { class: "run-fold-body" });
  const element = make("details", { class: "run-fold run-list", "data-server": item.server_label },
    make("summary", {}, make("bdi", { class: "run-name" }, item.server_label), " ", state), body);
  view.say("Listing the tools of " + item.server_label + "…", "working");
  return {
    id: item.id,
    element,
    event() {},
    done(whole) {
      if (whole.error != null) {
        set(state, "failed", "could not be listed");
        body.replaceChildren(bounded(String(whole.error), "Error", "run-error"));
        element.open = true;
        return;
      }
      set(state, "done", whole.tools.length === 1 ? "1 tool" : whole.tools.length + " tools");
      body.replaceChildren(make("dl", { class: "run-tools" }, ...whole.tools.flatMap((tool) => [
        make("dt", {}, make("bdi", {}, make("code", {}, tool.name))),
        make("dd", { dir: "auto" }, clipped(tool.description ?? "", 300)),
      ])));
    },
  };
}

function callPlace(item, view, server) {
  const state = stateTag("working", "running…");
  const given = make("div", {});
  const came = make("div", { class: "run-outcome" });
  const element = make("details", { class: "run-fold run-call", open: "", "data-server": item.server_label ?? "", "data-tool": item.name },
    make("summary", {}, make("bdi", { class: "run-name" }, make("code", {}, item.name)), " ", make("bdi", { class: "run-server" }, server), " ", state),
    make("div", { class: "run-fold-body" }, make("p", { class: "run-label" }, "Arguments"), given, came));
  let written = item.arguments;
  const write = () => given.replaceChildren(bounded(pretty(written), "Arguments"));
  write();
  view.say((item.type === "mcp_call" ? "Calling " : "The model asks for ") + item.name + "…", "working");
  return {
    id: item.id,
    element,
    event(e) {
      if (e.type.endsWith("arguments.delta")) written += e.delta;
      if (e.type.endsWith("arguments.done")) written = e.arguments;
      write();
    },
    done(whole) {
      written = whole.arguments;
      write();
      if (whole.type === "function_call") {
        set(state, "waiting", "for the client to run");
        return;
      }
      if (whole.error != null) {
        set(state, "failed", "failed");
        came.replaceChildren(make("p", { class: "run-label" }, "Error"), bounded(String(whole.error), "Error", "run-error"));
        view.say(item.name + " failed.", "working");
        return;
      }
      if (whole.status === "incomplete") {
        set(state, "stopped", "given up");
        return;
      }
      set(state, "done", "done");
      came.replaceChildren(make("p", { class: "run-label" }, "Output"), bounded(pretty(whole.output || "(no text)"), "Output"));
      view.say(item.name + " has answered.", "working");
    },
  };
}

function approvalPlace(item, view) {
  const state = stateTag("waiting", "waits for approval");
  const choice = make("p", { class: "run-choice" });
  const element = make("section", { class: "run-approval", "aria-label": "Approval of " + visible(item.name), "data-approval": item.id, tabindex: "-1" },
    make("p", {}, make("strong", {}, "May this tool be called? "), make("bdi", {}, make("code", {}, item.name)), " ",
      make("bdi", { class: "run-server" }, item.server_label), " ", state),
    make("p", { class: "run-label" }, "Arguments"), bounded(pretty(item.arguments), "Arguments"), choice);
  const decide = (approve) => {
    set(state, approve ? "done" : "stopped", approve ? "approved" : "denied");
    const focused = choice.contains(document.activeElement);
    choice.remove();
    if (focused) element.focus(); // which was on a button that is gone
    view.onDecide(item, approve);
  };
  if (view.decides) {
    const approve = make("button", { type: "button", class: "button primary" }, "Approve");
    const deny = make("button", { type: "button", class: "button" }, "Deny");
    approve.addEventListener("click", () => decide(true));
    deny.addEventListener("click", () => decide(false));
    choice.append(approve, " ", deny);
  }
  return { id: item.id, element, event() {}, done() {} };
}

function otherPlace(item) {
  const element = make("p", { class: "run-note" }, "The run made an item of the type " + item.type + ".");
  return { id: item.id, element, event() {}, done() {} };
}

function usage(response) {
  const u = response.usage;
  if (!u) return null;
  const calls = u.tool_calls_details?.mcp?.invocation ?? 0;
  const count = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many);
  const parts = [count(u.input_tokens, "token in", "tokens in"), count(u.output_tokens, "token out", "tokens out")];
  if (u.output_tokens_details?.reasoning_tokens) parts.push(u.output_tokens_details.reasoning_tokens.toLocaleString("en") + " of them reasoning");
  if (calls) parts.push(count(calls, "tool call", "tool calls"));
  return make("p", { class: "run-usage" }, parts.join(" · ") + " · " + response.model);
}

function problem(message, remedy) {
  return make("div", { class: "problem", role: "alert" }, make("p", { dir: "auto" }, clipped(message, 2000)),
    remedy ? make("p", { class: "run-remedy" }, remedy) : "");
}

// bounded shows the beginning of a long text, and the whole if a person asks for it.
export function bounded(text, label, name = "") {
  const shown = visible(text.length > wholeText ? text.slice(0, wholeText) + "…" : text);
  const lines = shown.split("\n", shortLines + 1);
  let short = lines.length > shortLines ? lines.slice(0, shortLines).join("\n") : shown;
  if (short.length > shortText) short = short.slice(0, shortText);
  const code = make("pre", { class: "run-code " + name, role: "group", "aria-label": label, tabindex: "0", dir: "auto" });
  const box = make("div", { class: "run-bounded" }, code);
  code.textContent = short;
  if (short.length < shown.length) {
    code.append("…");
    const all = make("button", { type: "button", class: "run-all" }, "Show all (" + shown.length.toLocaleString("en") + " characters)");
    all.addEventListener("click", () => {
      code.textContent = shown;
      all.remove();
      code.focus();
    });
    box.append(all);
  }
  return box;
}

// pretty lays JSON out for people, and leaves alone what is none, or too long to be worth it.
function pretty(text) {
  if (text.length > 200000 || !/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// visible shows control characters, and those that reorder or hide text, as the pages do that the server makes.
export function visible(text) {
  return text.replace(/\r\n/g, "\n").replace(/(?![\n\t\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => {
    const code = c.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : "⟦U+" + code.toString(16).toUpperCase().padStart(4, "0") + "⟧";
  });
}

function clipped(text, most) {
  return visible(text.length > most ? text.slice(0, most) + "…" : text);
}

const tags = { working: "tag live", done: "tag good", failed: "tag bad", waiting: "tag warn", stopped: "tag" };

function stateTag(kind, text) {
  return make("span", { class: tags[kind] }, text);
}

function set(state, kind, text) {
  state.className = tags[kind];
  state.textContent = text;
}

function setData(node, text) {
  if (node.data !== text) node.data = text;
}

// make returns an element. Children that are strings become text.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

for (const element of document.querySelectorAll("[data-stream]")) {
  show(element, element.dataset.stream);
}
