// Opens, behind a percentage, why it is what it is. Without scripts its link leads to a page that says the same.

import { fetchPage, isAway, morph, say } from "./page.js";

/** Tells assistive technology that these links open something on this page. */
export function prepareWhys() {
  for (const link of document.querySelectorAll(".percent [data-why]")) {
    if (link.hasAttribute("aria-expanded")) continue;
    link.setAttribute("role", "button");
    link.setAttribute("aria-controls", link.dataset.why);
    link.setAttribute("aria-expanded", "false");
  }
}

/** Brings up to date what is open. */
export async function refreshWhys() {
  const open = [...document.querySelectorAll(".explained:not([hidden])")];
  await Promise.all(open.map((panel) => fill(panel)));
}

const findLink = (panel) => document.querySelector(`.percent [data-why="${CSS.escape(panel.id)}"]`);

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-why]");
  const panel = link && document.getElementById(link.dataset.why);
  if (!panel || event.ctrlKey || event.metaKey || event.shiftKey) return; // else the page itself opens
  event.preventDefault();
  if (panel.hidden) open(panel, link);
  else if (link === findLink(panel)) close(panel);
  else reveal(panel);
});

document.addEventListener("keydown", (event) => {
  const link = event.target.closest?.('[data-why][role="button"]');
  if (link && event.key === " ") {
    event.preventDefault(); // a button is pressed, and the page does not scroll
    link.click();
  }
  const panel = event.key === "Escape" && event.target.closest?.(".explained");
  if (panel) close(panel);
});

async function open(panel, link) {
  panel.setAttribute("aria-busy", "true");
  const filled = await fill(panel);
  panel.removeAttribute("aria-busy");
  if (!filled) return;
  panel.hidden = false;
  findLink(panel).setAttribute("aria-expanded", "true");
  if (link !== findLink(panel)) reveal(panel);
}

function close(panel) {
  if (panel.contains(document.activeElement)) findLink(panel).focus();
  panel.hidden = true;
  findLink(panel).setAttribute("aria-expanded", "false");
}

/** Shows it where it was asked for elsewhere on the page. */
function reveal(panel) {
  panel.focus({ preventScroll: true });
  panel.closest("article").scrollIntoView({ block: "start" });
}

/** Fetches the explanation. Returns whether there is one to show. */
async function fill(panel) {
  try {
    const page = await fetchPage(findLink(panel).getAttribute("href"));
    const fresh = page.querySelector("[data-why-panel]");
    const now = panel.querySelector("[data-why-panel]");
    if (now) morph(now, fresh);
    else panel.append(document.importNode(fresh, true));
    return true;
  } catch (error) {
    if (panel.hidden) say(isAway(error) ? "There is no answer. Try again in a moment." : error.message);
    return false;
  }
}

prepareWhys();
