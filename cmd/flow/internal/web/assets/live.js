// A page that is open follows what it shows. <body data-live> has the URL of a stream of
// events: "region" is a part of the page as HTML, which is put in place so that focus, scroll
// positions, selected text, what was typed and what was opened stay as they are; "data" is news
// for scripts, which get it as the event "flow:data" of document; "title" is the page's title.
//
// <html data-link> says how things are: "live", or "lost" while the server cannot be reached.

// merge makes the children of an element those of another one, with as few changes as it can.
// Elements are the same if they have the same id or data-key, or else the same name and place.
export function merge(from, to) {
  const keyed = new Map();
  for (const el of from.children) {
    const key = keyOf(el);
    if (key) keyed.set(key, el);
  }
  let at = from.firstChild;
  for (const want of [...to.childNodes]) {
    const key = keyOf(want);
    let have = key ? keyed.get(key) : at;
    while (!key && have && keyOf(have)) have = have.nextSibling;
    if (have && have.nodeType === want.nodeType && have.nodeName === want.nodeName) {
      if (have === at) at = at.nextSibling;
      else from.insertBefore(have, at);
      mergeNode(have, want);
    } else {
      from.insertBefore(want, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key || "" : "";
}

function mergeNode(have, want) {
  if (have.nodeType !== Node.ELEMENT_NODE) {
    if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
    return;
  }
  if (have.hasAttribute("data-keep") || have.isEqualNode(want)) return; // a script's, or no news
  // ui.js has written these in its own way; what it goes by is the same.
  if (have.dataset?.since && have.dataset.since === want.dataset.since) return;
  if (have.nodeName === "TIME" && have.dateTime === want.dateTime) return;
  const own = ownAttributes(have);
  for (const { name } of [...have.attributes]) {
    if (!want.hasAttribute(name) && !own.has(name)) have.removeAttribute(name);
  }
  for (const { name, value } of want.attributes) {
    if (!own.has(name) && have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  if (have.nodeName === "TEXTAREA" || have.nodeName === "SELECT") {
    if (have === document.activeElement || typed(have)) return;
  }
  merge(have, want);
}

// What the person in front of the page has made of an element is theirs.
function ownAttributes(el) {
  switch (el.nodeName) {
    case "DETAILS":
    case "DIALOG":
      return new Set(["open"]);
    case "INPUT":
      return new Set(el === document.activeElement || typed(el) ? ["value", "checked"] : []);
  }
  return new Set();
}

function typed(el) {
  if (el.nodeName === "SELECT") return [...el.options].some((o) => o.selected !== o.defaultSelected);
  return el.value !== el.defaultValue || el.checked !== el.defaultChecked;
}

function putRegion({ id, html = "" }) {
  const region = document.getElementById(id);
  if (!region) return;
  const next = document.createElement("template");
  next.innerHTML = html;
  merge(region, next.content);
  region.dispatchEvent(new CustomEvent("flow:region", { bubbles: true, detail: { id } }));
}

// follow keeps a stream open while the page can be seen: browsers have few connections to a
// server, and pages in the background would take them all.
function follow() {
  let stream = null;
  let lost = 0; // how often in a row the stream broke
  let timer = 0;

  const say = (link) => (document.documentElement.dataset.link = link);
  const close = () => {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  };
  const later = () => {
    close();
    lost++;
    if (lost > 1) say("lost");
    timer = setTimeout(open, Math.min(500 * 2 ** lost, 15000) * (0.75 + Math.random() / 2));
  };
  const open = () => {
    close();
    if (document.hidden) return;
    stream = new EventSource(document.body.dataset.live); // the first one is sent what is new since the page was made, later ones all
    stream.addEventListener("open", () => {
      lost = 0;
      say("live");
    });
    stream.addEventListener("error", later);
    stream.addEventListener("end", later);
    const on = (name, put) => stream.addEventListener(name, (e) => put(JSON.parse(e.data)));
    on("region", putRegion);
    on("data", (detail) => document.dispatchEvent(new CustomEvent("flow:data", { detail })));
    on("title", ({ title }) => (document.title = title ? `${title} · flow` : "flow"));
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  document.addEventListener("flow:moved", open); // a script has put another page in place, see table.js
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => e.persisted && open());
  open();
}

if (document.body.dataset.live) follow();
