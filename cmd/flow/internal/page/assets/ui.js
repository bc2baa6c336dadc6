// What every page does with scripts: asks in a dialog, copies, lets times go on, and shows
// moments in the time of whoever looks. Without scripts the same links lead to pages.

document.documentElement.classList.add("js");

document.addEventListener("click", (event) => {
  const copier = event.target.closest("[data-copy]");
  if (copier) {
    copy(copier);
    return;
  }
  const link = event.target.closest("a[data-ask]");
  if (link && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    ask(link);
  }
});

async function copy(button) {
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = said), 1500);
}

// ask shows the form of the page that a link leads to in a dialog. It is removed with its
// closing, which gives the focus back to the link. If the form cannot be had, the link is
// followed.
async function ask(link) {
  let form;
  try {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    form = answer.ok && page.querySelector("form.ask");
  } catch {
    // The link says it better.
  }
  if (!form) {
    location.assign(link.href);
    return;
  }
  const dialog = document.createElement("dialog");
  const title = form.querySelector("h1");
  title.id = "ask-title";
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(document.adoptNode(form));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

// A form is sent once.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button[type=submit]")) {
    setTimeout(() => {
      if (!event.defaultPrevented) button.disabled = true; // else a script has taken it, and takes the next one
    }, 0);
  }
});
// The page may come back from the browser's cache.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[type=submit]")) button.disabled = false;
});

// How long something takes, as the server writes it.
function duration(s) {
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (s < 0) return "0s";
  if (s < 10) return s.toFixed(1) + "s";
  if (s < 60) return Math.floor(s) + "s";
  if (s < 3600) return Math.floor(s / 60) + "m" + two(s % 60) + "s";
  if (s < 48 * 3600) return Math.floor(s / 3600) + "h" + two((s % 3600) / 60) + "m";
  return Math.floor(s / 86400) + "d" + two((s % 86400) / 3600) + "h";
}

function tick() {
  for (const e of document.querySelectorAll("[data-since]")) {
    const text = duration((Date.now() - Date.parse(e.dataset.since)) / 1000);
    if (e.textContent !== text) e.textContent = text;
  }
  for (const e of document.querySelectorAll("[data-until]")) {
    const s = (Date.parse(e.dataset.until) - Date.now()) / 1000;
    const text = s > 0 ? "in " + duration(s) : "now";
    if (e.textContent !== text) e.textContent = text;
  }
}

function localTimes() {
  for (const e of document.querySelectorAll("main time:not([data-local])")) {
    const t = new Date(e.dateTime);
    if (isNaN(t)) continue;
    const two = (n) => String(n).padStart(2, "0");
    e.dataset.local = "";
    const shown = `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
    e.textContent = shown;
    if (e.dataset.zoned) { // a slot: only if the clocks of its schedule show another time
      e.textContent = shown.replace(/:00$/, "");
      e.parentElement.hidden = shown === e.dataset.zoned;
    }
  }
}

function settle() {
  tick();
  localTimes();
}

settle();
setInterval(tick, 1000);
document.addEventListener("flow:region", settle); // a part of the page has changed

// A filter needs no button.
document.addEventListener("change", (event) => {
  if (event.target.matches("form[data-auto] select")) event.target.form.requestSubmit();
});
