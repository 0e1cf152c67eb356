// Nothing needs this: it guesses the time zone, and previews a query while it is typed.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const guess = () => {
  for (const field of document.querySelectorAll("#preview [data-zone]")) {
    if (zone && field.value === field.defaultValue && !field.hasAttribute("aria-invalid")) field.value = zone;
  }
};

const query = document.querySelector("form.ask #q");
const place = document.getElementById("preview");
let timer, asking;

const preview = async () => {
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await fetch("/?q=" + encodeURIComponent(query.value), { signal: asking.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("preview");
    if (answer.ok && found && !place.contains(document.activeElement)) {
      place.replaceChildren(...found.childNodes);
      guess();
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
};

guess();
if (query && place) {
  query.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, 400);
  });
}
