// Reads a version that an author pastes or opens, shows what it would change, and publishes it after a confirmation.

import { ask, explain, say } from "./page.js";

const TRIED_WITHIN_MS = 45000; // the API compares learners for 30 s at most
const PUBLISHED_WITHIN_MS = 45000;
const AGAIN_MS = 2000;
const MOST_TRIES = 30; // while somebody else's dry run is under way
const FOLLOW_MS = 1000;
const find = (id) => document.getElementById(id);
const text = find("text");
let tried = null; // the version on show, as the API takes it
let turn = 0; // grows with each text, so that an old answer shows nothing

// The text

find("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  text.value = await file.text();
  event.target.value = ""; // so that the same file can be opened again
  forget();
  check();
});
text.addEventListener("input", forget);
find("paste").addEventListener("submit", (event) => {
  event.preventDefault();
  check();
});
find("publish").addEventListener("click", confirm);
find("confirm").addEventListener("close", () => {
  if (find("confirm").returnValue === "publish") publish();
});

/** Hides what was shown of another text. */
function forget() {
  turn += 1;
  tried = null;
  find("result").hidden = true;
  find("publish").disabled = true;
  showMistakes([]);
}

async function check() {
  forget();
  const own = turn;
  const isOld = () => own !== turn;
  try {
    const response = await send("POST", "/courses/publish", { text: text.value });
    const answer = await response.json().catch(() => ({}));
    if (isOld()) return;
    if (!response.ok) return showMistakes(listMistakes(response, answer));
    showVersion(answer);
    await tryVersion(answer, isOld);
  } catch {
    if (!isOld()) showMistakes([{ detail: "There is no answer from the server. Nothing is changed; try again." }]);
  }
}

function listMistakes(response, problem) {
  if (response.status === 400) return problem.errors?.length ? problem.errors : [{ detail: problem.detail }];
  if (response.status === 413) return [{ detail: "The text is too large for this page: use `course-progress catalog publish`." }];
  if (response.status === 403) return [{ detail: `You may not publish this course: ${problem.detail}.` }];
  return [{ detail: explain(response) }];
}

function showMistakes(mistakes) {
  const items = mistakes.map(({ line, detail }) => make("li", line ? `Line ${line}: ${detail}` : detail));
  find("mistakes").replaceChildren(...(items.length ? [make("ul", ...items)] : []));
  text.setAttribute("aria-invalid", items.length > 0);
  const line = mistakes.find((mistake) => mistake.line)?.line;
  if (line) selectLine(line);
}

function selectLine(line) {
  const before = text.value.split("\n").slice(0, line);
  const end = before.join("\n").length;
  text.focus();
  text.setSelectionRange(end - before.at(-1).length, end);
}

// What it would change

function showVersion(version) {
  tried = version;
  find("result").hidden = false;
  find("about").textContent = `Version ${version.version} of ${version.title}: ${count(version.lessons, "lesson")}, of which ${version.required} are required and ${version.needed} complete the course.`;
  find("warnings").replaceChildren(...version.warnings.map((warning) => make("li", warning)));
  fill("changes", version.changes.map(({ title, what, note }) => [title, what, note]));
  fill("figures", []);
  find("result-title").focus();
}

async function tryVersion(version, isOld) {
  const stop = tellSeconds();
  let response;
  try {
    for (let tries = 1; ; tries += 1) {
      response = await send("POST", `/api/courses/${version.courseId}/versions/dry-run`, { version: version.version, ...version.content }, TRIED_WITHIN_MS);
      const busy = response.status === 409 && (await response.clone().json()).type.endsWith(":conflict");
      if (!busy || isOld() || tries === MOST_TRIES) break;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  } catch {
    response = null;
  }
  stop();
  if (isOld()) return;
  const answer = response ? await response.json().catch(() => ({})) : {};
  if (response?.ok) return showDryRun(answer);
  version.unknown = describeFailure(response, answer);
  find("state").textContent = version.unknown;
  // Too many learners to compare is no reason against the version; everything else is.
  find("publish").disabled = !answer.type?.endsWith(":too-many-learners");
}

function tellSeconds() {
  const began = Date.now();
  const tell = () => {
    find("state").textContent = `Comparing the progress of every learner, for ${Math.round((Date.now() - began) / 1000)} s. A large course takes up to 30 s.`;
  };
  tell();
  const timer = setInterval(tell, 5000);
  return () => clearInterval(timer);
}

function describeFailure(response, problem) {
  if (problem.type?.endsWith(":too-many-learners")) return `${problem.title}: ${problem.detail}.`;
  if (!response) return "The comparison took too long, or the connection is lost. How many learners it changes something for is not known.";
  if (response.status === 409 || response.status === 503 || response.status === 400) return `This could not be compared: ${problem.detail ?? explain(response)}.`;
  return explain(response);
}

function showDryRun({ figures, vanished }) {
  tried.figures = figures;
  find("state").textContent = figures
    ? "Counts are rounded down to multiples of five; “–” is fewer than five."
    : "Fewer than five people are in this course. Figures about so few would reveal what each of them did.";
  fill("figures", figures ? listFigures(figures) : []);
  const renamed = vanished.filter((lesson) => lesson.renamedTo);
  for (const lesson of renamed) {
    find("warnings").append(make("li", `“${lesson.title ?? lesson.lessonId}” is gone, completed by ${approximate(lesson.completions)}. If “${lesson.renamedTo}” is the same lesson, say replaces: [${lesson.lessonId}] there.`));
  }
  find("publish").disabled = false;
}

const listFigures = (figures) => [
  ["are in the course", number(figures.learners)],
  ["would complete it", number(figures.completed)],
  ["would be complete no longer", number(figures.revoked)],
  ["stay complete under an earlier version", number(figures.grandfathered)],
  ["see their percentage go up", number(figures.raised)],
  ["see their percentage go down", number(figures.lowered)],
];

// Publishing

function confirm() {
  find("confirm-title").textContent = `Publish version ${tried.version} of ${tried.title}?`;
  find("confirm-text").textContent = describeAffected(tried);
  find("confirm").returnValue = "";
  find("confirm").showModal();
}

function describeAffected({ figures, unknown }) {
  if (unknown) return "How many learners this affects is not known.";
  if (!figures) return "Fewer than five learners are affected.";
  const { learners, raised, lowered, completed, revoked } = figures;
  const affected = raised + lowered;
  const sentence = affected ? `About ${affected.toLocaleString("en")} of ${learners.toLocaleString("en")} learners see another percentage` : `Fewer than ten of ${learners.toLocaleString("en")} learners see another percentage`;
  return `${sentence}; ${approximate(completed)} would complete the course, ${approximate(revoked)} would be complete no longer.`;
}

async function publish() {
  const version = tried;
  find("publish").disabled = true;
  find("state").textContent = "Publishing…";
  try {
    const response = await send("PUT", `/api/courses/${version.courseId}/versions/${version.version}`, version.content, PUBLISHED_WITHIN_MS);
    if (response.ok) return showPublished(version, response.status === 202);
    const problem = await response.json().catch(() => ({}));
    refuse(response.status < 500 || response.status === 503 ? `It is not published: ${problem.detail ?? explain(response)}.` : "It may be published or not. Publishing the same again is safe.");
  } catch {
    refuse("There is no answer: it may be published or not. Publishing the same again is safe.");
  }
}

function refuse(why) {
  find("state").textContent = why;
  find("publish").disabled = false;
  say(why);
}

function showPublished(version, waits) {
  find("state").textContent = "";
  find("result").hidden = true;
  find("published").hidden = false;
  find("what").textContent = `Version ${version.version} of ${version.title} is published, with ${count(version.lessons, "lesson")}.${waits ? " A worker has not stored it yet, and does so by itself." : ""}`;
  const link = find("link");
  link.href = link.dataset.figures === "yes" ? `/courses/${version.courseId}` : `/api/courses/${version.courseId}`;
  link.textContent = link.dataset.figures === "yes" ? `See the figures of ${version.title}` : "See what is stored of the course";
  find("published-title").focus();
  follow(version, turn);
}

/** Tells how far the recount is, until it has ended or another text is on its way. */
async function follow(version, own) {
  let ended = false;
  try {
    const response = await ask(`/api/courses/${version.courseId}`);
    if (own !== turn) return;
    ended = response.ok && showRecount(version, await response.json());
  } catch {
    // told again in a moment
  }
  if (!ended) setTimeout(() => follow(version, own), FOLLOW_MS);
}

function showRecount(version, { recount }) {
  const bar = find("recounted");
  if (!recount || recount.version < version.version) return false;
  const ended = recount.finishedAt !== null;
  bar.hidden = false;
  bar.value = ended ? 100 : Math.min(99, Math.round((100 * recount.seen) / Math.max(1, recount.learners)));
  const told = ended ? "Everybody's progress is counted by it now." : `Progress is counted anew: ${recount.seen.toLocaleString("en")} of ${recount.learners.toLocaleString("en")} learners.`;
  if (find("recount").textContent !== told) find("recount").textContent = told;
  return ended;
}

// Small helpers of this page

const send = (method, path, body, withinMs) =>
  ask(path, { method, withinMs, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const count = (value, noun) => `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`;
const number = (value) => (value ? value.toLocaleString("en") : "–");
const approximate = (value) => (value ? `about ${value.toLocaleString("en")}` : "fewer than five");

function make(name, ...children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

/** Fills a table with rows. An empty table is hidden. */
function fill(id, rows) {
  const table = find(id);
  const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  table.hidden = rows.length === 0;
  table.tBodies[0].replaceChildren(...rows.map((cells) => makeRow(table, cells, labels)));
}

function makeRow(table, cells, labels) {
  const made = cells.map((cell, place) => {
    const element = make(place ? "td" : "th", cell);
    element.setAttribute("role", place ? "cell" : "rowheader");
    if (place) element.dataset.label = labels[place];
    else element.scope = "row";
    element.className = table.tHead.rows[0].cells[place].className || "name";
    return element;
  });
  const row = make("tr", ...made);
  row.setAttribute("role", "row");
  return row;
}
