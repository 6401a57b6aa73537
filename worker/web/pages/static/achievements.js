// Celebrates a new badge: once, beside everything else.

const CELEBRATED = "course-progress-celebrated"; // in the browser: the keys of badges that it has shown
const MOST_KEPT = 50;
const SHOWN_MS = 9000;
const place = document.getElementById("celebration");
let ends = 0;

function readCelebrated() {
  try {
    return JSON.parse(localStorage.getItem(CELEBRATED)) ?? [];
  } catch {
    return []; // a browser that keeps nothing celebrates again at the next visit
  }
}

function keepCelebrated(keys) {
  try {
    localStorage.setItem(CELEBRATED, JSON.stringify(keys.slice(-MOST_KEPT)));
  } catch {
    // as above
  }
}

/** Shows the badges that are new and were not shown in this browser before. */
export function celebrate() {
  const celebrated = readCelebrated();
  const fresh = [...document.querySelectorAll("[data-new]")].filter(({ dataset }) => !celebrated.includes(dataset.badge));
  if (!fresh.length) return;
  keepCelebrated([...celebrated, ...fresh.map(({ dataset }) => dataset.badge)]);
  const titles = fresh.map((badge) => badge.querySelector(".badge-title").firstChild.data.trim());
  const text = document.createElement("p");
  const what = document.createElement("strong");
  what.textContent = titles.length > 1 ? `${titles.length} new badges` : "New badge";
  text.append(what, document.createElement("br"), titles.join(", "));
  place.replaceChildren(fresh[0].querySelector("svg").cloneNode(true), text);
  clearTimeout(ends);
  ends = setTimeout(() => place.replaceChildren(), SHOWN_MS);
}

document.addEventListener("refreshed", celebrate);
celebrate();
