// Shares certificates, and shows or hides their public pages.

import { ask, explain, say } from "./page.js";

const LOOK_EVERY_MS = 3000;
const MOST_LOOKS = 20; // a certificate that takes longer waits for a reason, and appears when the page is opened again
let looks = 0;

document.addEventListener("click", (event) => {
  const share = event.target.closest("[data-share]");
  if (share) shareLink(share.dataset.share, share.dataset.title);
  const toggle = event.target.closest("[data-listed]");
  if (toggle && !toggle.hasAttribute("aria-disabled")) list(toggle);
});

async function shareLink(url, title) {
  try {
    if (navigator.share) return await navigator.share({ title, url });
    await navigator.clipboard.writeText(url);
    say("The link is copied. Whoever has it can verify the certificate.");
  } catch (error) {
    if (error.name !== "AbortError") say(`The link is ${url}`); // no clipboard without https
  }
}

async function list(toggle) {
  const wished = toggle.getAttribute("aria-checked") !== "true";
  toggle.setAttribute("aria-checked", wished);
  toggle.setAttribute("aria-disabled", "true");
  let problem = "there is no answer. Try again.";
  try {
    const response = await ask(`/api/certificates/${toggle.closest("[data-certificate]").dataset.certificate}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ listed: wished }),
    });
    problem = response.ok ? "" : explain(response);
  } catch {
    // said below
  }
  toggle.removeAttribute("aria-disabled");
  if (problem) toggle.setAttribute("aria-checked", !wished);
  say(problem ? `That may not be saved: ${problem}` : describe(wished));
  document.dispatchEvent(new Event("stale")); // a page that was fetched meanwhile may show the state before
}

function describe(listed) {
  return listed
    ? "The public page shows name, course and day again."
    : "The public page now says only whether the certificate is valid.";
}

// A certificate is made some moments after the completion, and nothing tells the page.
setInterval(() => {
  if (!document.querySelector("[data-awaits]")) looks = 0;
  else if (looks++ < MOST_LOOKS) document.dispatchEvent(new Event("stale"));
}, LOOK_EVERY_MS);
