// The log of a task: <flow-log data-url=URL> has the last lines of it. This adds what is
// written while the page is open, the lines before them on demand, search, and wrapping.

const FOLLOW = 1000; // ms between looks at a log that is a file
const FOLLOW_FAR = 5000; // at one that AWS keeps
const MOST = 50000; // lines in the page

function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

class FlowLog extends HTMLElement {
  connectedCallback() {
    if (this.box) return;
    const d = this.dataset;
    this.box = this.querySelector(".log");
    this.list = this.box.querySelector("ol");
    this.note = this.querySelector(".log-note");
    this.from = Number(d.from); // places: where the first line begins, and behind the last one
    this.next = Number(d.next);
    this.first = Number(d.first); // number of the first line; 0: not known
    this.live = "live" in d;
    this.remote = "remote" in d;
    this.attempt = Number(d.attempt);
    this.url = new URL(d.url, location.href);
    this.tools();
    this.setWrap(localStorage.getItem("flow-log-wrap") === "1");
    this.begin();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.gone = true;
  }

  async begin() {
    if (this.remote) await this.tail();
    this.box.scrollTop = this.box.scrollHeight;
    await this.goTo(location.hash);
    addEventListener("hashchange", () => this.goTo(location.hash));
    if (this.live) this.timer = setTimeout(() => this.follow(), this.pause());
  }

  pause() {
    return this.remote ? FOLLOW_FAR : FOLLOW;
  }

  // ---- tools

  tools() {
    const button = (text, press) => {
      const b = make("button", { type: "button" }, text);
      b.addEventListener("click", press);
      return b;
    };
    this.search = make("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log" });
    this.search.addEventListener("input", () => this.find());
    this.search.addEventListener("keydown", (e) => {
      if (e.key !== "Enter") return;
      e.preventDefault();
      this.step(e.shiftKey ? -1 : 1);
    });
    this.found = make("span", { class: "log-found", role: "status" });
    this.earlier = button("Earlier lines", () => this.before());
    this.whole = button("All lines", () => this.all());
    this.wrap = button("Wrap", () => this.setWrap(this.wrap.getAttribute("aria-pressed") !== "true"));
    this.end = button("To the end", () => (this.box.scrollTop = this.box.scrollHeight));
    this.prepend(make("div", { class: "log-tools" }, this.search, this.found, this.wrap, this.earlier, this.whole, this.end));
    this.showMore();
  }

  setWrap(on) {
    this.wrap.setAttribute("aria-pressed", String(on));
    this.box.classList.toggle("wrap", on);
    localStorage.setItem("flow-log-wrap", on ? "1" : "0");
  }

  showMore() {
    const more = this.from > 0 && this.list.childElementCount < MOST;
    this.earlier.hidden = this.whole.hidden = !more;
    const n = this.list.childElementCount;
    this.note.textContent = n === 0 ? (this.live ? "Nothing has been written yet." : this.remote ? "It wrote nothing, or its log is not there any more." : this.note.textContent) : this.from > 0 ? `The last ${n.toLocaleString("en-US")} lines.` : "";
  }

  // ---- pieces

  async piece(kind, at) {
    const url = new URL(this.url);
    url.searchParams.set("piece", kind);
    if (at !== undefined) url.searchParams.set("at", at);
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error("the server said " + answer.status);
    const piece = await answer.json();
    if (piece.note) this.note.textContent = piece.note;
    return piece;
  }

  // lines makes the elements of a piece, as log.go does. Text is only ever text.
  lines(piece) {
    return piece.lines.map((spans, i) => {
      const text = make("span", {}, ...(spans || []).map((s) => (s.c ? make("span", { class: s.c }, s.t) : s.t)));
      if (!piece.first) return make("li", {}, make("span", { class: "ln" }), text);
      const n = piece.first + i;
      return make("li", { id: "L" + n }, make("a", { class: "ln", href: "#L" + n }, String(n)), text);
    });
  }

  async tail() {
    try {
      const piece = await this.piece("tail");
      this.list.replaceChildren(...this.lines(piece));
      [this.from, this.next, this.first, this.live] = [piece.from, piece.next, piece.first, piece.live];
      if (!piece.note) this.showMore();
    } catch (error) {
      this.note.textContent = "The log cannot be had: " + error.message;
    }
  }

  // follow adds what has been written since.
  async follow() {
    if (this.gone) return;
    let wait = this.pause();
    if (!document.hidden) {
      try {
        const piece = await this.piece("after", this.next);
        if (this.gone) return;
        this.add(piece);
        if (piece.newest > this.attempt) this.showNewer(piece.newest);
        if (!piece.live && piece.lines.length === 0) return;
        if (piece.lines.length > 1000) wait = 0; // there is more
      } catch {
        wait = 5000; // the server may be back later
      }
    }
    this.timer = setTimeout(() => this.follow(), wait);
  }

  add(piece) {
    if (piece.lines.length === 0) return;
    const atEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 40;
    if (this.first === 0 && this.list.childElementCount === 0) this.first = piece.first;
    this.list.append(...this.lines(piece));
    this.next = piece.next;
    while (this.list.childElementCount > MOST) this.list.firstElementChild.remove();
    if (atEnd) this.box.scrollTop = this.box.scrollHeight;
    this.showMore();
    if (this.search.value) this.find();
  }

  showNewer(attempt) {
    if (this.newer) return;
    const link = make("a", { href: location.pathname + "#log" }, `Attempt ${attempt} has begun: show its log`);
    this.newer = make("p", { class: "log-note" }, link);
    this.box.before(this.newer);
  }

  // before puts the lines in front that come before those that are here.
  async before() {
    if (this.from <= 0) return false;
    this.earlier.disabled = true;
    try {
      const piece = await this.piece("before", this.from);
      if (piece.from >= this.from) return false;
      const height = this.box.scrollHeight - this.box.scrollTop;
      this.list.prepend(...this.lines(piece));
      this.from = piece.from;
      this.first = piece.first;
      this.box.scrollTop = this.box.scrollHeight - height;
      this.showMore();
      if (this.search.value) this.find();
      return true;
    } catch (error) {
      this.note.textContent = "Earlier lines cannot be had: " + error.message;
      return false;
    } finally {
      this.earlier.disabled = false;
    }
  }

  async all() {
    this.whole.disabled = true;
    while (this.from > 0 && this.list.childElementCount < MOST && (await this.before()));
    this.whole.disabled = false;
    if (this.from > 0) this.note.textContent += " It is too long for a page: the whole log as text has the rest.";
  }

  // goTo shows a line by its anchor, and brings the lines before it if it has to.
  async goTo(hash) {
    const n = /^#L(\d+)$/.exec(hash)?.[1];
    if (!n) return;
    while (!document.getElementById("L" + n) && this.first > Number(n) && this.list.childElementCount < MOST && (await this.before()));
    const line = document.getElementById("L" + n);
    if (!line) return;
    this.mark(line);
    line.scrollIntoView({ block: "center" });
  }

  mark(line) {
    this.list.querySelector(".now")?.classList.remove("now");
    line?.classList.add("now");
  }

  // ---- search

  find() {
    const text = this.search.value.toLowerCase();
    this.hits = [];
    for (const line of this.list.children) {
      const hit = text !== "" && line.lastElementChild.textContent.toLowerCase().includes(text);
      line.classList.toggle("hit", hit);
      if (hit) this.hits.push(line);
    }
    this.mark(null);
    this.found.textContent = text === "" ? "" : this.hits.length === 0 ? (this.from > 0 ? "none in these lines" : "none") : this.hits.length.toLocaleString("en-US") + (this.hits.length === 1 ? " line" : " lines");
    this.at = this.hits.length; // Enter goes up from the end first
  }

  step(by) {
    if (!this.hits?.length) return;
    this.at = (this.at + by + this.hits.length) % this.hits.length;
    const line = this.hits[this.at];
    this.mark(line);
    line.scrollIntoView({ block: "center" });
    this.found.textContent = `${this.at + 1} of ${this.hits.length.toLocaleString("en-US")}`;
  }
}

customElements.define("flow-log", FlowLog);
