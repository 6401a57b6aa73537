// Keeps "My learning" live: sends clicks on lessons, and shows changes made anywhere else.

import { readFigures, roundPercent, setFigures } from "./figures.js";
import { ask, explain, isAway, refresh, say, warn } from "./page.js";
import { prepareWhys, refreshWhys } from "./why.js";

const AGAIN_MS = 3000;
const REFRESH_AFTER_MS = 400;
const SAVED_WITHIN_MS = 40000; // the API waits for a worker, 30 s at most
const SILENT_MS = 40000; // the stream sends something every 15 s
const AWAY = "The connection is lost. What you see may be old; trying again.";
const NOT_LIVE =
  "This page gets no live changes right now, perhaps because too many windows are open. It tries again every few seconds.";
const pending = new Set(); // the buttons whose lessons are on their way
const refused = new Map(); // by the ids of buttons: what is to be completed before these lessons, until the next click
const known = new Map(); // by the id of a card with such buttons: how to show what the server last said of it
let clicks = 0;
let requested = 0;
let refreshing = false;

// Clicks

document.addEventListener("click", (event) => {
  const resume = event.target.closest("[data-resume]");
  if (resume) openLesson(resume.hash);
  const button = event.target.closest("button[data-lesson]");
  if (!button || pending.has(button)) return;
  if (isLocked(button)) sayLocked(button);
  else toggle(button);
});

function openLesson(hash) {
  const target = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
  if (!target) return;
  for (let around = target.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  target.focus({ preventScroll: true });
}

const isLocked = (button) => button.getAttribute("aria-disabled") === "true";

const findLock = (button) => document.getElementById(button.getAttribute("aria-describedby"));

/** Says what comes first: a click on a locked lesson sends nothing. */
function sayLocked(button) {
  const reason = findLock(button)?.textContent.trim() ?? "It is locked";
  say(`“${button.querySelector("span").textContent}” is locked. ${reason}${reason.endsWith(".") ? "" : "."}`);
}

/** Opens the lessons of which all that they require is ticked now. The server decides, when one is clicked. */
function unlock(card) {
  const done = new Set();
  for (const button of card.querySelectorAll('button[data-lesson][aria-pressed="true"]')) done.add(button.dataset.lesson);
  for (const button of card.querySelectorAll('button[aria-disabled="true"]')) {
    const missing = JSON.parse(button.dataset.missing);
    if (!missing.length || !missing.every((lesson) => done.has(lesson))) continue;
    button.querySelector("[data-lock]")?.remove();
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-describedby");
  }
}

async function toggle(button) {
  const card = button.closest("[data-course]");
  const wished = button.getAttribute("aria-pressed") !== "true";
  const title = button.querySelector("span").textContent;
  clicks += 1;
  if (!isPending(card)) rememberAsIs(card);
  pending.add(button);
  refused.clear();
  showRefusals();
  showExpected(card, button, wished);
  try {
    const response = await write(card, button, wished);
    const answer = response.status === 200 ? await response.json() : null;
    pending.delete(button);
    if (answer) {
      if (answer.progress) show(answer.progress);
      else if (wished) takeBack(card, button, wished); // a later reset has forgotten it
      if (!answer.success && (wished || answer.progress)) say(`“${title}” stays as it was: another device has changed it, and its clock may be ahead.`);
    } else {
      takeBack(card, button, wished);
      const before = await readPrerequisites(response);
      if (before) refused.set(button.id, before);
      showRefusals();
      say(`“${title}” ${before ? `is not saved. ${before}` : describeOutcome(response)}`);
    }
  } catch {
    pending.delete(button);
    takeBack(card, button, wished);
    say(`“${title}” may not be saved: there is no answer. Try again.`);
  }
  refreshSoon();
}

function describeOutcome(response) {
  if (response.status === 202) return "is saved, but takes longer than usual: it will appear here by itself.";
  // After a 5xx Kafka may still have the event. Repeating the click changes nothing.
  return `${response.status < 500 ? "is not saved" : "may not be saved"}. ${explain(response)}`;
}

/** Returns what the lesson requires and the learner has not completed; nothing for any other answer. */
async function readPrerequisites(response) {
  if (response.status !== 409) return "";
  const problem = await response.json();
  return problem.type.endsWith(":prerequisite-missing") ? `${problem.detail}.` : "";
}

/** Says at each refused lesson why it is. What the server renders does not have it, so it is shown anew. */
function showRefusals() {
  for (const note of document.querySelectorAll("[data-refused]")) note.remove();
  for (const [id, text] of refused) {
    const button = document.getElementById(id);
    if (!button || isLocked(button)) continue; // locked: the page says it already
    const note = document.createElement("p");
    note.className = "quiet";
    note.dataset.refused = "";
    note.id = `refused-${id}`;
    note.textContent = text;
    button.setAttribute("aria-describedby", note.id);
    button.after(note);
  }
}

function write(card, button, wished) {
  return ask("/api/progress/complete", {
    withinMs: SAVED_WITHIN_MS,
    method: wished ? "POST" : "DELETE",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      courseId: card.dataset.course,
      lessonId: button.dataset.lesson,
      totalLessons: Number(card.dataset.total),
      utcOffsetMinutes: -new Date().getTimezoneOffset(),
    }),
  });
}

// Showing

const isPending = (card) => [...pending].some((button) => button.closest("[data-course]") === card);

/** Remembers a card before its first click, so that a refused click can put everything back. */
function rememberAsIs(card) {
  const before = readFigures(card);
  known.set(card.id, (now) => setFigures(now, before));
}

/** Shows at once all that a click will change, before the server has answered. */
function showExpected(card, button, pressed) {
  button.setAttribute("aria-pressed", pressed);
  unlock(card);
  if ("optional" in button.dataset) return;
  const before = readFigures(card);
  const total = Number(card.dataset.total);
  const completed = Math.max(0, before.completed + (pressed ? 1 : -1));
  const stays = pressed && before.complete; // a course that has grown since is complete with fewer than all
  const complete = stays || completed >= total;
  setFigures(card, { completed, total, percent: stays ? before.percent : roundPercent(completed, total), complete });
}

function takeBack(card, button, wished) {
  if (isPending(card)) return showExpected(card, button, !wished);
  button.setAttribute("aria-pressed", !wished);
  known.get(card.id)?.(card);
}

/** Shows progress from the server. */
function show(progress) {
  const card = document.getElementById(`course-${progress.courseId}`);
  if (!card) return;
  known.set(card.id, (now) => showProgress(now, progress));
  if (!isPending(card)) showProgress(card, progress); // else the last answer shows it all
}

function showProgress(card, progress) {
  // The catalog may know a newer total than the row: a click must not send the old one again.
  if (progress.totalLessons && !("inCatalog" in card.dataset)) card.dataset.total = progress.totalLessons;
  setFigures(card, {
    completed: progress.lessonsCompleted,
    total: progress.totalLessons,
    percent: progress.progressPercentage,
    complete: Boolean(progress.completedAt),
  });
  if (progress.moreLessons) return; // the list is cut, and the page is fetched again soon
  const completed = new Set(progress.completedLessons);
  for (const button of card.querySelectorAll("button[data-lesson]")) {
    button.setAttribute("aria-pressed", isMet(button, completed));
  }
}

/** Returns whether the button's lesson, or an earlier one that it replaces, is completed. */
function isMet(button, completed) {
  const same = [button.dataset.lesson, ...JSON.parse(button.dataset.replaces ?? "[]")];
  return same.some((lesson) => completed.has(lesson));
}

/** Refreshes soon, once for many changes, because the server renders cards, charts and texts. */
async function refreshSoon() {
  requested += 1;
  if (refreshing) return;
  refreshing = true;
  let seen;
  do {
    await new Promise((done) => setTimeout(done, REFRESH_AFTER_MS));
    seen = requested;
    if (!pending.size) await refreshNow();
  } while (seen !== requested || pending.size);
  refreshing = false;
}

async function refreshNow() {
  const before = clicks;
  try {
    await refresh(() => clicks === before); // else the page would show the state before the click
    showRefusals();
    prepareWhys();
    document.dispatchEvent(new Event("refreshed")); // for achievements.js
    await refreshWhys();
  } catch (error) {
    if (!isAway(error)) say(error.message); // without a connection the banner says so
  }
}

// The stream

function openStream() {
  const stream = new EventSource("/api/progress/stream");
  let silence = 0;
  const noteSign = () => {
    clearTimeout(silence);
    silence = setTimeout(() => reopen(AWAY), SILENT_MS);
  };
  const reopen = (why) => {
    stream.close();
    warn(why);
    setTimeout(openStream, AGAIN_MS);
  };
  const listen = (name, act) => stream.addEventListener(name, (event) => { noteSign(); act(event); });
  listen("open", () => warn());
  listen("heartbeat", () => {});
  listen("snapshot", (event) => {
    warn();
    JSON.parse(event.data).items.forEach(show);
    refreshSoon();
  });
  listen("progress", (event) => {
    show(JSON.parse(event.data).progress);
    refreshSoon();
  });
  listen("removed", refreshSoon);
  listen("badge", refreshSoon);
  listen("unavailable", () => warn("The database is away. What you see may be old; the page recovers by itself."));
  stream.addEventListener("error", async () => {
    if (stream.readyState !== EventSource.CLOSED) return warn(AWAY);
    clearTimeout(silence); // else both would open a stream again
    reopen(await explainRefusal());
  });
  noteSign();
}

/** Returns why the stream is refused. It does not say so itself, so this asks for the page, which is refused alike. */
async function explainRefusal() {
  const before = clicks;
  try {
    await refresh(() => clicks === before && !pending.size);
    return NOT_LIVE;
  } catch (error) {
    return isAway(error) ? AWAY : error.message;
  }
}

/** Fetches what zone.js has hidden, now that the server knows the browser's zone. */
async function showWeeks() {
  await refreshNow();
  document.documentElement.classList.remove("other-zone");
}

if (document.documentElement.classList.contains("other-zone")) showWeeks();

document.addEventListener("stale", refreshSoon); // certificates.js says so

openStream();
