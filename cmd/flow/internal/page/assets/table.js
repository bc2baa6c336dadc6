// Filters, sorts and pages of a table without loading the whole page anew: links in what has
// data-table, forms with it, and selections in a heat map. What comes is the page that the
// link leads to; its regions are put in place of those that are there. Without this script the
// same links lead there.

import { merge } from "./live.js";

const LONGEST = 2000; // of a list of tasks in an address

let latest = 0;

// show puts the page at an address in place of this one. how: "push", or "replace" in the
// history; "" where the browser has gone there already.
async function show(url, how) {
  const turn = ++latest;
  let page;
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    if (answer.ok && !answer.redirected) page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    // The browser says it better.
  }
  if (turn !== latest) return;
  if (!page) {
    location.assign(url);
    return;
  }
  if (how === "push") history.pushState(null, "", url);
  else if (how) history.replaceState(null, "", url);
  for (const region of page.querySelectorAll(".region[id]")) {
    const here = document.getElementById(region.id);
    if (here) merge(here, region);
  }
  for (const field of page.querySelectorAll("form[data-table] [name]")) {
    // What was chosen here is kept by merge; the address says what counts.
    const mine = document.querySelector(`form[data-table] [name="${field.name}"]`);
    if (mine && mine !== document.activeElement) mine.value = field.value;
  }
  for (const data of page.querySelectorAll('script[type="application/json"][id]')) {
    document.dispatchEvent(new CustomEvent("flow:data", { detail: { id: data.id, value: JSON.parse(data.textContent) } }));
  }
  document.title = page.title;
  if (page.body.dataset.live) document.body.dataset.live = page.body.dataset.live;
  document.dispatchEvent(new CustomEvent("flow:moved"));
  if (how === "push" && url.hash) document.getElementById(url.hash.slice(1))?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || !link.closest("[data-table]") || event.defaultPrevented) return;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.pathname !== location.pathname) return;
  event.preventDefault();
  show(url, "push");
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-table]")) return;
  event.preventDefault();
  const url = new URL(form.action);
  for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, value);
  show(url, "push");
});

document.addEventListener("change", (event) => {
  if (event.target.matches("form[data-table] select")) event.target.form.requestSubmit();
});

document.addEventListener("flow:brush", (event) => {
  event.preventDefault();
  let { tasks } = event.detail;
  if (tasks.length > LONGEST) tasks = tasks.slice(0, tasks.lastIndexOf(",", LONGEST));
  const url = new URL(location.href);
  url.searchParams.delete("page");
  url.searchParams.delete("tasks");
  if (tasks) url.searchParams.set("tasks", tasks);
  show(url, "replace");
});

addEventListener("popstate", () => show(new URL(location.href), ""));
