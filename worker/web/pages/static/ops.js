// Keeps Operations up to date every two seconds, and replays dead letters.

import { ask, explain, isAway, refresh, say, warn } from "./page.js";

const EVERY_MS = 2000;
const REPLAYED_WITHIN_MS = 120000; // the whole topic is read first

async function follow() {
  if (!document.hidden) {
    try {
      await refresh();
      warn();
    } catch (error) {
      warn(isAway(error) ? "The API does not answer. These figures are old; trying again." : error.message);
    }
    updateButtons();
  }
  setTimeout(follow, EVERY_MS);
}

const chosen = () => [...document.querySelectorAll(".pick input:checked")].map((box) => box.value);
const buttons = [...document.querySelectorAll("[data-replay]")];
let busy = false;

function updateButtons() {
  const none = busy || chosen().length === 0;
  for (const button of buttons) button.disabled = none;
}

async function replay(dryRun) {
  busy = true;
  updateButtons();
  try {
    const response = await ask("/api/ops/deadletters/replay", {
      withinMs: REPLAYED_WITHIN_MS,
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ positions: chosen(), dryRun }),
    });
    say(response.ok ? describeReplay(await response.json()) : `${response.status < 500 ? "" : "They may be replayed or not. "}${explain(response)}`);
  } catch {
    say("There is no answer. Replaying again is safe: what was replayed stays as it is.");
  }
  busy = false;
  updateButtons();
}

function describeReplay({ dryRun, replayed, left }) {
  const stays = Object.entries(left).map(([why, count]) => `${count} ${dryRun ? "would stay" : "stayed"}: ${why}`);
  return [`${replayed} ${dryRun ? "would be replayed" : "replayed"}`, ...stays].join("; ");
}

document.addEventListener("change", updateButtons);
for (const button of buttons) button.addEventListener("click", () => replay(button.dataset.replay === "dry"));
updateButtons();
setTimeout(follow, EVERY_MS);
