// Looks again at the parts of a page that are marked data-live="SECONDS" and have an id: fetches the same page
// and puts the part of the same id in place. When a new part is no longer live, it is the last one.
"use strict";

async function lookAgain(id) {
  const part = document.getElementById(id);
  if (!part) return;
  const seconds = Number(part.dataset.live);
  if (!seconds) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    // Signed out meanwhile: show that page instead.
    if (answer.redirected) return location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(id);
    if (!fresh) return location.reload();
    if (fresh.innerHTML !== part.innerHTML || !fresh.dataset.live) {
      const open = [...part.querySelectorAll("details")].map((each) => each.open);
      [...fresh.querySelectorAll("details")].forEach((each, i) => { each.open = each.open || open[i] === true; });
      part.replaceWith(fresh);
    }
  } catch {
    // The appliance may be changing over: keep what is shown and try again.
  }
  setTimeout(lookAgain, seconds * 1000, id);
}

for (const part of document.querySelectorAll("[data-live][id]")) {
  setTimeout(lookAgain, Number(part.dataset.live) * 1000, part.id);
}
