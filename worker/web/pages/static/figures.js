// Changes every figure of a course at once: those of its card, the hero's, and the sums over all courses.

/** Returns what a card shows. */
export function readFigures(card) {
  return {
    completed: Number(card.dataset.completed),
    total: Number(card.dataset.of) || null,
    percent: card.querySelector("progress").value,
    complete: card.classList.contains("done"),
  };
}

/** Shows these figures in the card and wherever else they count. */
export function setFigures(card, figures) {
  const before = readFigures(card);
  card.dataset.completed = figures.completed;
  card.dataset.of = figures.total ?? "";
  card.classList.toggle("done", figures.complete);
  card.querySelector("progress").value = figures.percent;
  setText(card.querySelector("progress"), `${figures.percent}%`);
  setText(card.querySelector("[data-percent]"), `${figures.percent}%`);
  setText(card.querySelector("[data-done]"), describeDone(figures));
  setHero(card.dataset.course, figures.percent);
  addToSums(before, figures);
}

/** Rounds as the server does: to the nearest whole number, 100 only when complete. */
export function roundPercent(completed, total) {
  return completed >= total ? 100 : Math.min(99, Math.max(0, Math.round((100 * completed) / total)));
}

function describeDone({ completed, total }) {
  if (!total) return "Not started";
  return `${format(completed)} of ${format(total)} lesson${total === 1 ? "" : "s"}`;
}

function setHero(course, percent) {
  const hero = document.querySelector(`[data-hero="${CSS.escape(course)}"]`);
  if (!hero) return;
  hero.querySelector(".mark-done").setAttribute("stroke-dasharray", `${percent} 100`);
  setText(hero.querySelector("text"), `${percent}%`);
}

/** Moves the sums by what one course has changed: the page shows some courses, and the sums are of all. */
function addToSums(before, after) {
  const completed = Number(after.complete) - Number(before.complete);
  addTo("in-progress", -completed);
  addTo("completed", completed);
  addTo("lessons", after.completed - before.completed);
  const average = document.querySelector("[data-sum=average]");
  average.dataset.percents = Number(average.dataset.percents) + after.percent - before.percent;
  const courses = Number(average.dataset.courses);
  setText(average.firstChild, `${courses ? Math.round(Number(average.dataset.percents) / courses) : 0}`);
}

function addTo(name, change) {
  const sum = document.querySelector(`[data-sum="${name}"]`);
  sum.dataset.value = Number(sum.dataset.value) + change;
  setText(sum, format(Number(sum.dataset.value)));
}

/** Writes thousands as the server does, whatever the browser's language. */
const format = (number) => number.toLocaleString("en");

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
