// "My learning", live: lessons that are clicked, and whatever changes anywhere else.

import { ask, isAway, reason, refresh, say, warn } from "./page.js";

const AGAIN_MS = 3000;
const SETTLE_MS = 400;
const SAVED_WITHIN_MS = 40000; // the API waits for a worker, 30 s at most
const SILENT_MS = 40000; // the stream says something every 15 s
const AWAY = "The connection is away. What you see may be old; trying again.";
const UNTOLD =
  "This page is not told of changes at present: too many windows may be open. It asks again every few seconds.";
const pending = new Set(); // the buttons whose lessons are on their way
let clicks = 0;
let asked = 0;
let settling = false;

// Clicks

document.addEventListener("click", (event) => {
  const resume = event.target.closest("[data-resume]");
  if (resume) open(resume.hash);
  const button = event.target.closest("button[data-lesson]");
  if (button && !pending.has(button)) toggle(button);
});

function open(hash) {
  const target = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
  if (!target) return;
  target.closest("details").open = true;
  target.focus({ preventScroll: true });
}

async function toggle(button) {
  const card = button.closest("[data-course]");
  const wished = button.getAttribute("aria-pressed") !== "true";
  const percent = card.querySelector("progress").value;
  const title = button.querySelector("span").textContent;
  clicks += 1;
  pending.add(button);
  expect(card, button, wished);
  try {
    const response = await write(card, button, wished);
    pending.delete(button);
    if (response.status === 200) {
      const answer = await response.json();
      if (answer.progress) show(answer.progress);
      if (!answer.success && (wished || answer.progress)) say(`“${title}” stays as it was: another device, whose clock may be ahead, has said so.`);
    } else {
      takeBack(card, button, wished, percent);
      say(`“${title}” ${outcome(response)}`);
    }
  } catch {
    pending.delete(button);
    takeBack(card, button, wished, percent);
    say(`“${title}” may not be saved: there is no answer. Try again.`);
  }
  settle();
}

function outcome(response) {
  if (response.status === 202) return "is saved, but takes longer than usual: it will appear here by itself.";
  // After a 5xx Kafka may have it all the same; to repeat it changes nothing.
  return `${response.status < 500 ? "is not saved" : "may not be saved"}. ${reason(response)}`;
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
    }),
  });
}

// What is shown

/** As it will be, before the server has said so. */
function expect(card, button, pressed) {
  button.setAttribute("aria-pressed", pressed);
  const completed = Number(card.dataset.completed) + (pressed ? 1 : -1);
  card.dataset.completed = completed;
  bar(card, percentage(completed, Number(card.dataset.total)));
}

function takeBack(card, button, wished, percent) {
  expect(card, button, !wished);
  if (!pending.size) bar(card, percent);
}

/** As the server will say: the nearest whole number, 100 only when complete. */
function percentage(completed, total) {
  return completed >= total ? 100 : Math.min(99, Math.max(0, Math.round((100 * completed) / total)));
}

/** As the server says. */
function show(progress) {
  const card = document.getElementById(`course-${progress.courseId}`);
  if (!card) return;
  const buttons = [...card.querySelectorAll("button[data-lesson]")];
  if (buttons.some((button) => pending.has(button))) return; // the last answer will show it all
  card.dataset.completed = progress.lessonsCompleted;
  // Of a course that grew the catalog knows more than the row: a click must not say the old total again.
  if (progress.totalLessons && !("inCatalog" in card.dataset)) card.dataset.total = progress.totalLessons;
  bar(card, progress.progressPercentage);
  const completed = new Set(progress.completedLessons);
  for (const button of buttons) button.setAttribute("aria-pressed", completed.has(button.dataset.lesson));
}

function bar(card, percent) {
  card.querySelector("progress").value = percent;
  card.querySelector("[data-percent]").textContent = `${percent}%`;
}

/** Soon, once for many changes: cards, charts and texts are the server's. */
async function settle() {
  asked += 1;
  if (settling) return;
  settling = true;
  let seen;
  do {
    await new Promise((done) => setTimeout(done, SETTLE_MS));
    seen = asked;
    if (!pending.size) await bring();
  } while (seen !== asked || pending.size);
  settling = false;
}

async function bring() {
  const before = clicks;
  try {
    await refresh(() => clicks === before); // or the page would show what was before the click
  } catch (error) {
    if (!isAway(error)) say(error.message); // without a connection the banner says so
  }
}

// The stream

function listen() {
  const stream = new EventSource("/api/progress/stream");
  let silence = 0;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => again(AWAY), SILENT_MS);
  };
  const again = (why) => {
    stream.close();
    warn(why);
    setTimeout(listen, AGAIN_MS);
  };
  const on = (name, act) => stream.addEventListener(name, (event) => { heard(); act(event); });
  on("open", () => warn());
  on("heartbeat", () => {});
  on("snapshot", (event) => {
    warn();
    JSON.parse(event.data).items.forEach(show);
    settle();
  });
  on("progress", (event) => {
    show(JSON.parse(event.data).progress);
    settle();
  });
  on("removed", settle);
  on("unavailable", () => warn("The database is away. What you see may be old; it comes back by itself."));
  stream.addEventListener("error", async () => {
    if (stream.readyState !== EventSource.CLOSED) return warn(AWAY);
    clearTimeout(silence); // or both would listen again
    again(await refusal());
  });
  heard();
}

/** Why the stream is refused, which it does not tell itself: as the page would be, if it is. */
async function refusal() {
  const before = clicks;
  try {
    await refresh(() => clicks === before && !pending.size);
    return UNTOLD;
  } catch (error) {
    return isAway(error) ? AWAY : error.message;
  }
}

listen();
