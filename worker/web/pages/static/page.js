// Shared by all pages: brings a page up to date in place, and shows messages.

const banner = document.getElementById("banner");
const toast = document.getElementById("toast");
const ANSWER_WITHIN_MS = 10000;
let toastEnds = 0;

/** Shows the text above the page until it is called without one. */
export function warn(text = "") {
  if (banner.textContent !== text) banner.textContent = text;
}

/** Says something once; screen readers read it politely. */
export function say(text) {
  toast.textContent = text;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { toast.textContent = ""; }, 8000);
}

/** Explains to a person what went wrong. */
export function explain(response) {
  const wait = response.headers.get("Retry-After");
  switch (response.status) {
    case 401: return "You are no longer logged in: load the page again.";
    case 403: return "You may not do this.";
    case 409: return "Another user is doing this right now: try again later.";
    case 422: return "You have as many courses, or lessons in this course, as you may have.";
    case 429: return `That was too much at once: try again in ${wait ?? "a few"} s.`;
    case 503: return "A server is away: try again in a moment.";
    default: return `The server answered ${response.status}.`;
  }
}

/** Fetches. Rejects without an answer in time, as without a connection: a server that hangs is away too. */
export function ask(path, { withinMs = ANSWER_WITHIN_MS, ...options } = {}) {
  return fetch(path, { ...options, signal: AbortSignal.timeout(withinMs) });
}

/** Returns whether the connection failed, or the server did not answer. */
export function isAway(error) {
  return error instanceof TypeError || error.name === "TimeoutError";
}

/** Fetches a page. Throws what to tell a person when there is none. */
export async function fetchPage(path) {
  const response = await ask(path, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(explain(response));
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/**
 * Brings every [data-live] part up to date with what the server renders now, unless `isWanted` refuses it on arrival.
 * Throws when the page cannot be fetched.
 */
export async function refresh(isWanted = () => true) {
  const next = await fetchPage(location.pathname + location.search);
  if (!isWanted()) return;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.querySelector(`[data-live="${part.dataset.live}"]`);
    if (fresh) morph(part, fresh);
  }
  if (document.title !== next.title) document.title = next.title;
}

// Changes elements in place where possible, so that focus, open details, checked boxes and transitions survive.
// What is in an element with data-own is the page's own, and attributes that data-keep names are.
export function morph(now, next) {
  if (now.nodeName !== next.nodeName || (now.id ?? "") !== (next.id ?? "")) {
    now.replaceWith(document.importNode(next, true));
  } else if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.data !== next.data) now.data = next.data;
  } else {
    if (now.hasAttribute("data-own")) return;
    morphAttributes(now, next);
    if (now.hasAttribute("data-keyed")) morphKeyed(now, next);
    else morphChildren(now, next);
  }
}

function morphAttributes(now, next) {
  const kept = now.nodeName === "DETAILS" ? ["open"] : (now.dataset.keep ?? "").split(" "); // the reader opens them
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && !kept.includes(name)) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value && !kept.includes(name)) now.setAttribute(name, value);
  }
}

function morphChildren(now, next) {
  const before = [...now.childNodes];
  const after = [...next.childNodes];
  after.forEach((child, place) => {
    if (before[place]) morph(before[place], child);
    else now.append(document.importNode(child, true));
  });
  before.slice(after.length).forEach((child) => child.remove());
}

// Leaves existing elements in their places, so that nothing jumps away under a finger.
function morphKeyed(now, next) {
  const ids = new Set([...next.children].map((child) => child.id));
  [...now.children].filter((child) => !ids.has(child.id)).forEach((child) => child.remove());
  [...next.children].forEach((child, place) => {
    const own = [...now.children].find((candidate) => candidate.id === child.id);
    if (own) morph(own, child);
    else now.insertBefore(document.importNode(child, true), now.children[place] ?? null);
  });
}
