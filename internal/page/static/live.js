// live.js keeps parts of a page as they are on the server. It is a module without dependencies.
//
//   <div id="runs" data-live="/runs?status=failed" data-live-every="2500">…</div>
//
// The address is asked every so many milliseconds for the element as it is now, with the header HX-Request; 204 says that nothing has
// changed. What has changed is put in place piece by piece: elements that stay are the same as before, so that the focus, the selection,
// the scroll position and what was unfolded stay as well. An element with data-live-keep is left alone as long as it is there. When the
// new element has no data-live any more, that was the last time. Nothing is asked while the page is hidden.
//
// An element with data-since shows how long ago that moment was, and counts on by itself. data-now of the live element is the server's
// time when it was made, for browsers whose clock is wrong.

const longest = 30000; // ms between two questions to a server that does not answer

function live(element) {
  let failures = 0;
  let asking = false;
  let timer;
  compare(element);

  const later = (ms) => {
    clearTimeout(timer);
    if (element.dataset.live && !document.hidden) timer = setTimeout(ask, ms);
  };
  const every = () => Number(element.dataset.liveEvery) || 2000;

  async function ask() {
    if (asking || !element.dataset.live) return;
    asking = true;
    let wait = every();
    try {
      const answer = await fetch(element.dataset.live, { headers: { "HX-Request": "true" }, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect") {
        location.reload(); // the session has ended: sign in, and come back
        return;
      }
      if (answer.status === 404) {
        location.reload(); // it was deleted
        return;
      }
      if (answer.ok) {
        failures = 0;
        if (answer.status !== 204) take(await answer.text());
      } else {
        wait = again(Number(answer.headers.get("Retry-After")) * 1000);
      }
    } catch {
      wait = again(0); // the server is away: it is asked again, and the page stays as it is
    } finally {
      asking = false;
    }
    element.toggleAttribute("data-away", failures > 2);
    later(wait);
  }

  const again = (least) => Math.max(least || 0, Math.min(every() * 2 ** ++failures, longest));

  function take(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(element.id);
    if (!fresh) return;
    const focused = document.activeElement;
    morph(element, document.importNode(fresh, true));
    compare(element);
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    count();
    element.dispatchEvent(new CustomEvent("live:change", { bubbles: true }));
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : later(0)));
  window.addEventListener("online", () => later(0));
  element.addEventListener("stream:end", () => later(0)); // it will look different now
  later(every());
}

// morph makes an element like another, and keeps of it what it can.
function morph(from, to) {
  if (from.hasAttribute("data-live-keep") && to.hasAttribute("data-live-keep")) return;
  for (const { name, value } of to.attributes) {
    if (!ours(from, name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!ours(from, name) && !to.hasAttribute(name)) from.removeAttribute(name);
  }
  const named = new Map();
  for (const child of from.children) if (child.id) named.set(child.id, child);
  let next = from.firstChild;
  for (const child of [...to.childNodes]) {
    let match = null;
    if (child.id) {
      match = named.get(child.id) ?? null;
      if (match && match.nodeName !== child.nodeName) match = null;
    } else {
      // What has a name is matched by it alone.
      while (next?.id && !stays(next, to)) next = drop(next);
      if (next && !next.id && next.nodeName === child.nodeName) match = next;
    }
    if (!match) {
      from.insertBefore(child, next);
      continue;
    }
    if (match === next) {
      next = next.nextSibling;
    } else {
      from.insertBefore(match, next);
    }
    if (match.nodeType === Node.ELEMENT_NODE) {
      morph(match, child);
    } else if (match.data !== child.data) {
      match.data = child.data;
    }
  }
  while (next) next = drop(next);
}

function stays(node, to) {
  return [...to.children].some((child) => child.id === node.id);
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// ours reports whether an attribute is what a person, or a script, has made of it.
function ours(element, name) {
  return (name === "open" && (element.nodeName === "DETAILS" || element.nodeName === "DIALOG")) || (name === "data-away");
}

// count shows how long ago the moments of a page were.
function count() {
  const now = Date.now();
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = duration(now - Date.parse(element.dataset.since) - skew);
    if (element.firstChild?.data !== text) element.textContent = text;
  }
}

// skew is how far this machine's clock is ahead of the server's, in ms. Small differences are the time that an answer takes.
let skew = 0;

function compare(element) {
  const ahead = Date.now() - Date.parse(element.dataset.now);
  skew = Math.abs(ahead) > 5000 ? ahead : 0;
}

function duration(ms) {
  if (ms < 0) return "0 s";
  const s = Math.floor(ms / 1000);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + (Math.floor(s / 60) % 60) + " min";
  return Math.floor(s / 86400) + " d " + (Math.floor(s / 3600) % 24) + " h";
}

setInterval(() => {
  if (!document.hidden) count();
}, 1000);

for (const element of document.querySelectorAll("[data-live]")) live(element);
