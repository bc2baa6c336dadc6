// The heat map of a step's tasks: <flow-heat data-from=ID> draws on a canvas what the JSON of
// the script tag with that id says (see Heat in heat.go). It needs heat-data.js before it and
// nothing else: no server, no style. Where there is a server, events "flow:data" of document
// say what has changed.
//
// A drag, or shift and arrows, selects tasks: the event "flow:brush" tells which. If nobody
// takes it, the map lists them itself.

const { STATES, FAILED, LIGHT, DARK, COLOURS, ORDERS, store, elapsed, duration, size, count, nameOf, facts, ranges } = globalThis.flowHeat;

const CELLS = [16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2]; // CSS pixels, with the gap
const HIGHEST = 340; // CSS pixels
const LISTED = 100; // tasks of a selection that are listed
const dark = matchMedia("(prefers-color-scheme: dark)");

function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

// pixel returns a colour as putImageData has it; faded is mixed with the ground.
function pixel(hex, ground, faded) {
  const [r, g, b] = [1, 3, 5].map((at, k) => {
    const x = parseInt(hex.slice(at, at + 2), 16);
    return faded ? Math.round(x * 0.22 + ground[k] * 0.78) : x;
  });
  return (255 << 24) | (b << 16) | (g << 8) | r;
}

class FlowHeat extends HTMLElement {
  connectedCallback() {
    this.store = store(this.dataset.from);
    if (!this.store || this.canvas) return;
    const asked = new URLSearchParams(location.search);
    this.colour = COLOURS[asked.get("color")] ? asked.get("color") : "state";
    this.order = ORDERS[asked.get("order")] ? asked.get("order") : "index";
    this.told = asked.get("tasks") || ""; // ranges that are selected, as the address has them
    this.at = 0; // place of the cursor
    this.anchor = -1; // place where the selection began; -1: there is none
    this.build();
    this.store.maps.add(this);
    this.seen = new ResizeObserver(() => this.later());
    this.seen.observe(this.frame);
    this.repaint = () => this.later();
    dark.addEventListener("change", this.repaint);
    this.moved = () => this.readAddress();
    document.addEventListener("flow:moved", this.moved);
    this.changed();
  }

  disconnectedCallback() {
    if (!this.canvas) return;
    this.store.maps.delete(this);
    this.seen.disconnect();
    dark.removeEventListener("change", this.repaint);
    document.removeEventListener("flow:moved", this.moved);
    this.canvas = null;
  }

  build() {
    const id = this.id || this.dataset.from;
    this.canvas = make("canvas", { tabindex: 0, role: "application", "aria-roledescription": "heat map", "aria-describedby": id + "-help " + id + "-sum" });
    this.tip = make("div", { class: "heat-tip", hidden: "" });
    this.frame = make("div", { class: "heat-frame" }, this.canvas, this.tip);
    this.legend = make("ul", { class: "heat-legend", "aria-label": "Legend" });
    this.status = make("p", { class: "heat-status", role: "status" });
    this.summary = make("p", { class: "heat-summary", id: id + "-sum" });
    this.list = make("div", { class: "heat-list" });
    this.controls = make("div", { class: "heat-controls" });
    const help = make("p", { class: "heat-help", id: id + "-help" }, "Arrows move, shift and arrows or a drag select, Enter opens, Escape clears.");
    this.replaceChildren(this.controls, this.legend, this.frame, this.status, this.summary, help, this.list);
    this.listen();
  }

  // choices makes a group of buttons of which one is pressed.
  choices(name, label, all, now, pick) {
    const group = make("div", { class: "heat-choices", role: "group", "aria-label": label }, make("span", { "aria-hidden": "true" }, label));
    for (const [key, { label }] of all) {
      const button = make("button", { type: "button", "aria-pressed": key === now, "data-choice": name + "-" + key }, label);
      button.addEventListener("click", () => pick(key));
      group.append(button);
    }
    return group;
  }

  buildControls() {
    const d = this.store.data;
    const known = Object.entries(COLOURS).filter(([, c]) => c.has(d));
    if (!known.some(([key]) => key === this.colour)) this.colour = "state";
    const shown = known.map(([key]) => key).join() + this.colour + this.order;
    if (shown === this.shown) return;
    this.shown = shown;
    const focus = this.controls.contains(document.activeElement) ? document.activeElement.dataset.choice : "";
    const pick = (what) => (key) => {
      this[what] = key;
      if (what === "order") this.clear();
      this.remember();
      this.changed();
    };
    this.controls.replaceChildren(
      this.choices("color", "Colour", known, this.colour, pick("colour")),
      this.choices("order", "Order", Object.entries(ORDERS), this.order, pick("order")),
    );
    if (focus) this.controls.querySelector(`[data-choice="${focus}"]`)?.focus();
  }

  // remember puts what was picked into the address, so that it can be shared.
  remember() {
    if (!this.store.data.url) return;
    const to = new URL(location.href);
    for (const [name, value, usual] of [["color", this.colour, "state"], ["order", this.order, "index"]]) {
      if (value === usual) to.searchParams.delete(name);
      else to.searchParams.set(name, value);
    }
    history.replaceState(history.state, "", to);
  }

  // changed takes in new data.
  changed() {
    const d = this.store.data;
    if (!this.mask || this.mask.length !== d.size) {
      this.mask = new Uint8Array(d.size);
      this.picked = 0;
      this.anchor = -1;
      this.at = Math.min(this.at, Math.max(d.size - 1, 0));
      if (this.told) this.choose(this.told);
    }
    this.known = null; // sorted
    this.later();
  }

  later() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      if (this.canvas) this.paint();
    });
  }

  // sorted has the task at each place.
  get sorted() {
    return (this.known ||= ORDERS[this.order].sort(this.store.data));
  }

  // ---- painting

  measure() {
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.max(40, this.frame.clientWidth);
    const n = this.store.data.size;
    const cell = CELLS.find((c) => Math.ceil(n / Math.floor(wide / c)) * c <= HIGHEST) || CELLS[CELLS.length - 1];
    this.cell = Math.max(1, Math.round(cell * ratio)); // in pixels of the screen, as all below
    this.gap = cell >= 4 ? Math.max(1, Math.round(ratio)) : 0;
    this.columns = Math.max(1, Math.min(n, Math.floor((wide * ratio) / this.cell)));
    this.rows = Math.ceil(n / this.columns);
    this.ratio = ratio;
    const [w, h] = [this.columns * this.cell, Math.max(1, this.rows * this.cell)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.width = w / ratio + "px";
      this.canvas.style.height = h / ratio + "px";
    }
  }

  paint() {
    const begun = performance.now();
    const d = this.store.data;
    this.buildControls();
    this.measure();
    this.palette = dark.matches ? DARK : LIGHT;
    const scale = COLOURS[this.colour].scale(d, this.palette);
    const counts = new Uint32Array(scale.classes.length);
    const context = this.canvas.getContext("2d");
    this.fill(context, scale, counts);
    this.marks(context, d);
    this.cursor(context);
    this.showLegend(scale, counts);
    this.showSummary(d);
    const took = performance.measure("flow:heat", { start: begun, detail: { id: this.id, tasks: d.size } }).duration;
    const kept = globalThis.flowHeat;
    Object.assign(kept, { paints: kept.paints + 1, last: took, longest: Math.max(kept.longest, took), tasks: d.size });
  }

  // fill colours every task: one line of pixels for each row of tasks, copied downwards.
  fill(context, scale, counts) {
    const { columns, rows, cell, gap, sorted, mask } = this;
    const [w, h] = [this.canvas.width, this.canvas.height];
    const image = context.createImageData(w, h);
    const pixels = new Uint32Array(image.data.buffer);
    const plain = scale.classes.map((c) => pixel(c.color, this.palette.ground, false));
    const faded = scale.classes.map((c) => pixel(c.color, this.palette.ground, true));
    for (let row = 0; row < rows; row++) {
      const first = row * cell * w;
      for (let column = 0; column < columns; column++) {
        const place = row * columns + column;
        if (place >= sorted.length) break;
        const task = sorted[place];
        const k = scale.of(task);
        counts[k]++;
        const from = first + column * cell;
        pixels.fill(this.picked && !mask[task] ? faded[k] : plain[k], from, from + cell - gap);
      }
      for (let y = 1; y < cell - gap; y++) pixels.copyWithin(first + y * w, first, first + w);
    }
    context.putImageData(image, 0, 0);
  }

  // marks puts a spot on tasks that failed, where there is room.
  marks(context, d) {
    if (this.cell - this.gap < 5 * this.ratio) return;
    const side = Math.max(2, Math.round((this.cell - this.gap) / 3));
    const inset = Math.floor((this.cell - this.gap - side) / 2);
    context.fillStyle = this.palette.mark;
    this.sorted.forEach((task, place) => {
      if (d.state[task] !== FAILED) return;
      context.fillRect((place % this.columns) * this.cell + inset, Math.floor(place / this.columns) * this.cell + inset, side, side);
    });
  }

  cursor(context) {
    if (!this.sorted.length || (document.activeElement !== this.canvas && !this.hovering)) return;
    const [x, y] = [(this.at % this.columns) * this.cell, Math.floor(this.at / this.columns) * this.cell];
    const side = this.cell - this.gap;
    const width = Math.max(1, Math.round(this.ratio * (this.cell > 8 * this.ratio ? 2 : 1)));
    context.strokeStyle = this.palette.cursor;
    context.lineWidth = width;
    context.strokeRect(x + width / 2, y + width / 2, Math.max(side - width, 1), Math.max(side - width, 1));
  }

  showLegend(scale, counts) {
    const key = JSON.stringify([scale.classes, [...counts]]);
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.legend.replaceChildren(
      ...scale.classes.map((c, k) => {
        if (counts[k] === 0) return "";
        const swatch = make("span", { class: "heat-swatch", "aria-hidden": "true" });
        swatch.style.backgroundColor = c.color;
        return make("li", {}, swatch, c.label, " ", make("span", { class: "heat-count" }, count(counts[k])));
      }),
    );
  }

  showSummary(d) {
    const counts = STATES.map(() => 0);
    for (const s of d.state) counts[s]++;
    const words = STATES.map((word, s) => (counts[s] ? count(counts[s]) + " " + word.toLowerCase() : "")).filter(Boolean);
    const text = `${d.step}: ${count(d.size)} tasks${words.length ? ", " + words.join(", ") : ""}.`;
    if (this.summary.textContent === text) return;
    this.summary.textContent = text;
    this.canvas.setAttribute("aria-label", `Map of the ${count(d.size)} tasks of ${d.step}`);
  }

  // ---- hands

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("keydown", (e) => this.key(e));
    canvas.addEventListener("focus", () => this.move(this.at, false));
    canvas.addEventListener("blur", () => this.later());
    canvas.addEventListener("pointerdown", (e) => this.press(e));
    canvas.addEventListener("pointermove", (e) => this.point(e));
    canvas.addEventListener("pointerup", (e) => this.release(e));
    canvas.addEventListener("pointercancel", () => (this.pressed = -1));
    canvas.addEventListener("pointerleave", () => this.leave());
    this.pressed = -1; // place where a button went down
  }

  placeOf(e) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor(((e.clientX - box.left) * this.ratio) / this.cell);
    const row = Math.floor(((e.clientY - box.top) * this.ratio) / this.cell);
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) return -1;
    const place = row * this.columns + column;
    return place < this.store.data.size ? place : -1;
  }

  press(e) {
    const place = this.placeOf(e);
    if (place < 0 || e.button !== 0) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(e.pointerId);
    if (e.shiftKey) {
      if (this.anchor < 0) this.anchor = this.at;
      this.at = place;
      this.select();
    } else {
      this.anchor = -1;
    }
    this.pressed = e.shiftKey ? this.anchor : place;
    this.dragged = e.shiftKey;
  }

  point(e) {
    const place = this.placeOf(e);
    this.hovering = place >= 0;
    this.showTip(e, place);
    if (place < 0 || place === this.at) return;
    this.at = place;
    if (this.pressed >= 0 && (this.dragged || place !== this.pressed)) {
      this.dragged = true;
      this.anchor = this.pressed;
      this.select();
    }
    this.later();
  }

  release(e) {
    if (this.pressed < 0) return;
    const place = this.pressed;
    this.pressed = -1;
    if (this.dragged) this.tell();
    else this.open(place, e.ctrlKey || e.metaKey);
  }

  leave() {
    this.hovering = false;
    this.tip.hidden = true;
    this.later();
  }

  showTip(e, place) {
    this.tip.hidden = place < 0;
    if (place < 0) return;
    const d = this.store.data;
    const task = this.sorted[place];
    this.tip.replaceChildren(make("b", {}, nameOf(d, task)), make("span", {}, facts(d, task).join(" · ")));
    const frame = this.frame.getBoundingClientRect();
    const x = Math.min(e.clientX - frame.left + 14, frame.width - this.tip.offsetWidth - 2);
    this.tip.style.left = Math.max(0, x) + "px";
    this.tip.style.top = e.clientY - frame.top + 18 + "px";
  }

  key(e) {
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -10 * this.columns, PageDown: 10 * this.columns, Home: -this.at, End: this.store.data.size,
    };
    if (e.key in steps && !e.altKey && !e.metaKey) {
      e.preventDefault();
      const last = this.store.data.size - 1;
      let to = this.at + steps[e.key];
      if (e.key.startsWith("Arrow") && (to < 0 || to > last)) to = this.at;
      this.move(Math.max(0, Math.min(last, to)), e.shiftKey);
    } else if (e.key === "Enter") {
      e.preventDefault();
      this.open(this.at, e.ctrlKey || e.metaKey);
    } else if (e.key === "Escape" && this.picked) {
      this.clear();
      this.tell();
    }
  }

  move(to, select) {
    if (select && this.anchor < 0) this.anchor = this.at;
    if (!select) this.anchor = -1;
    this.at = to;
    const d = this.store.data;
    if (select) {
      this.select();
      clearTimeout(this.telling);
      this.telling = setTimeout(() => this.tell(), 300);
    } else if (d.size) {
      const task = this.sorted[to];
      this.status.textContent = nameOf(d, task) + ": " + facts(d, task).join(", ");
    }
    this.later();
  }

  // open goes to the page of a task, or lists it where there is none.
  open(place, aside) {
    const d = this.store.data;
    if (!d.size) return;
    if (!d.url) {
      this.at = this.anchor = place;
      this.select();
      this.tell();
    } else if (aside) {
      window.open(d.url + this.sorted[place], "_blank", "noopener");
    } else {
      location.assign(d.url + this.sorted[place]);
    }
  }

  // ---- selection

  select() {
    const [from, to] = [Math.min(this.anchor, this.at), Math.max(this.anchor, this.at)];
    this.mask.fill(0);
    for (let place = from; place <= to; place++) this.mask[this.sorted[place]] = 1;
    this.picked = to - from + 1;
    this.status.textContent = count(this.picked) + (this.picked === 1 ? " task selected" : " tasks selected");
    this.later();
  }

  // readAddress selects what the address of the page says, where that is not what is selected.
  readAddress() {
    const asked = new URLSearchParams(location.search).get("tasks") || "";
    if (asked === this.told) return;
    this.clear();
    this.told = asked;
    if (!asked) return;
    this.choose(asked);
    this.status.textContent = count(this.picked) + " tasks selected";
  }

  choose(text) {
    for (const part of text.split(",")) {
      const [from, to = from] = part.split("-").map(Number);
      for (let i = Math.max(0, from); i <= Math.min(to, this.mask.length - 1); i++) {
        this.picked += 1 - this.mask[i];
        this.mask[i] = 1;
      }
    }
  }

  clear() {
    this.mask?.fill(0);
    this.picked = 0;
    this.anchor = -1;
    this.status.textContent = "";
    this.later();
  }

  tell() {
    const tasks = [];
    this.mask.forEach((on, i) => on && tasks.push(i));
    this.told = ranges(tasks);
    const told = new CustomEvent("flow:brush", { bubbles: true, cancelable: true, detail: { count: tasks.length, tasks: this.told } });
    if (this.dispatchEvent(told)) this.showList([...this.sorted].filter((i) => this.mask[i]));
  }

  showList(tasks) {
    const d = this.store.data;
    if (!tasks.length) return this.list.replaceChildren();
    const rows = tasks.slice(0, LISTED).map((i) => {
      const cells = [nameOf(d, i), STATES[d.state[i]], duration(elapsed(d, i)), d.attempts[i], d.memory[i] ? size(d.memory[i]) : "-", d.exit[i] >= 0 ? d.exit[i] : "-"];
      return make("tr", {}, ...cells.map((text, k) => make("td", k > 1 ? { class: "num" } : {}, String(text))));
    });
    const head = ["Task", "Status", "Duration", "Attempts", "Peak memory", "Exit code"].map((text, k) => make("th", k > 1 ? { scope: "col", class: "num" } : { scope: "col" }, text));
    const more = tasks.length - rows.length;
    this.list.replaceChildren(
      make("table", { class: "table" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
      more > 0 ? make("p", {}, "… and " + count(more) + " more") : "",
    );
  }
}

customElements.define("flow-heat", FlowHeat);
