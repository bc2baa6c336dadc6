// What heat.js draws: the data of heat maps, as heat.go writes it, and what their tasks are
// coloured and ordered by. Modules of a report cannot import one another, so this one leaves
// what it has in globalThis.flowHeat.

const STATES = ["Pending", "Running", "Succeeded", "Failed", "Skipped", "Cancelled", "Cached"]; // engine.Status
const [PENDING, RUNNING, SUCCEEDED, FAILED, SKIPPED, CANCELLED, CACHED] = STATES.keys();
const FAILED_FIRST = [FAILED, RUNNING, CANCELLED, SKIPPED, PENDING, SUCCEEDED, CACHED];
const NONE = -1; // exit code of what has none

// The colours of states are those of flow.css. They differ in lightness as well as in hue, as
// do the steps of a scale, so that nobody has to tell red from green.
const LIGHT = {
  state: ["#d5dae1", "#4a96f0", "#4cb978", "#cc2b36", "#e3c06a", "#b99542", "#8ccfd6"],
  steps: ["#f4efbf", "#c3e2b4", "#7ec5ba", "#3d96b6", "#2a5d9f", "#1e2568"],
  codes: ["#d55e00", "#cc79a7", "#0072b2", "#e69f00", "#6a51a3", "#333333"],
  none: "#e6e9ed", mark: "#ffffff", cursor: "#000000", ground: [255, 255, 255],
};
const DARK = {
  state: ["#39424e", "#3d8bea", "#37a364", "#f0564f", "#8d6c24", "#b38b39", "#1f7780"],
  steps: ["#1f2d55", "#24598b", "#2f92a7", "#6bc5a3", "#c8e48e", "#fcf7b5"],
  codes: ["#ff7b3a", "#e39ac4", "#4aa3df", "#f0b429", "#a991e0", "#c9d1d9"],
  none: "#262c33", mark: "#0e1115", cursor: "#ffffff", ground: [14, 17, 21],
};

// ---- data

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function decode(json) {
  const column = (text, type, none) => {
    if (text) return new type(bytes(text).buffer);
    const empty = new type(json.size);
    return none ? empty.fill(none) : empty;
  };
  return {
    step: json.step, url: json.url || "", at: json.at || 0, base: json.base, size: json.size, keys: json.keys,
    state: bytes(json.state), time: column(json.time, Uint32Array), attempts: column(json.attempts, Uint8Array),
    memory: column(json.memory, Uint32Array), exit: column(json.exit, Int16Array, NONE),
  };
}

const stores = new Map(); // by id of the script tag

function store(id) {
  if (!stores.has(id)) {
    const tag = document.getElementById(id);
    if (!tag) return null;
    stores.set(id, { data: decode(JSON.parse(tag.textContent)), maps: new Set() });
  }
  return stores.get(id);
}

document.addEventListener("flow:data", (event) => {
  const { id, delta, value } = event.detail;
  const s = stores.get(id);
  if (!s) return;
  const all = value || delta.all;
  if (all) {
    s.data = decode(all);
  } else {
    const d = s.data;
    for (const [i, state, time, attempts, memory, exit] of delta.set) {
      d.state[i] = state;
      d.time[i] = time;
      d.attempts[i] = attempts;
      d.memory[i] = memory;
      d.exit[i] = exit;
    }
  }
  for (const map of s.maps) map.changed();
});

// elapsed is how long the last try of task i took, or has taken so far, in ms.
function elapsed(d, i) {
  if (d.state[i] !== RUNNING) return d.time[i];
  return Math.max(0, (d.at || Date.now()) - d.base - d.time[i]);
}

// ---- words

function duration(ms) {
  const s = ms / 1000;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (s < 10) return s.toFixed(1) + "s";
  if (s < 60) return Math.floor(s) + "s";
  if (s < 3600) return Math.floor(s / 60) + "m" + two(s % 60) + "s";
  if (s < 172800) return Math.floor(s / 3600) + "h" + two((s / 60) % 60) + "m";
  return Math.floor(s / 86400) + "d" + two((s / 3600) % 24) + "h";
}

function size(kib) {
  if (kib < 1024) return kib + " KiB";
  let n = kib / 1024;
  for (const unit of ["MiB", "GiB"]) {
    if (n < 1024) return n.toFixed(1) + " " + unit;
    n /= 1024;
  }
  return n.toFixed(1) + " TiB";
}

const count = (n) => n.toLocaleString("en-US");

function nameOf(d, i) {
  return d.step + "[" + (d.keys ? JSON.stringify(d.keys[i]) : '"' + i + '"') + "]";
}

// facts returns what is known of a task, a word or two each.
function facts(d, i) {
  const out = [STATES[d.state[i]]];
  const took = elapsed(d, i);
  if (took > 0) out.push(duration(took));
  if (d.attempts[i] > 1) out.push(d.attempts[i] + " attempts");
  if (d.memory[i] > 0) out.push("peak " + size(d.memory[i]));
  if (d.exit[i] > 0) out.push("exit code " + d.exit[i]);
  return out;
}

// ranges writes ascending indices as the server reads them: 0-99,105.
function ranges(list) {
  const out = [];
  for (let k = 0; k < list.length; k++) {
    const from = list[k];
    while (k + 1 < list.length && list[k + 1] === list[k] + 1) k++;
    out.push(from === list[k] ? "" + from : from + "-" + list[k]);
  }
  return out.join(",");
}

// ---- colours: a scale says of each task which of its classes it is in

function stateScale(d, palette) {
  return { of: (i) => d.state[i], classes: palette.state.map((color, s) => ({ color, label: STATES[s] })) };
}

function numberScale(d, palette, value, write) {
  let low = Infinity;
  let high = 0;
  for (let i = 0; i < d.size; i++) {
    const x = value(i);
    if (x <= 0) continue;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  const n = palette.steps.length;
  const log = high > 20 * low; // else a few slow ones would leave all others alike
  const place = log ? (x) => Math.log(x / low) / Math.log(high / low) : (x) => (x - low) / (high - low || 1);
  const bound = log ? (k) => low * Math.pow(high / low, k / n) : (k) => low + ((high - low) * k) / n;
  const classes = [{ color: palette.none, label: "none" }];
  if (high > 0 && high === low) classes.push({ color: palette.steps[2], label: write(low) });
  else if (high > 0) palette.steps.forEach((color, k) => classes.push({ color, label: write(bound(k)) + " – " + write(bound(k + 1)) }));
  const of = (i) => {
    const x = value(i);
    if (x <= 0) return 0;
    return high === low ? 1 : 1 + Math.min(n - 1, Math.floor(place(x) * n));
  };
  return { of, classes };
}

function attemptScale(d, palette) {
  const classes = [{ color: palette.none, label: "none yet" }];
  palette.steps.forEach((color, k) => classes.push({ color, label: k === 0 ? "1 attempt" : k + 1 + (k === 5 ? " and more" : "") }));
  return { of: (i) => Math.min(d.attempts[i], 6), classes };
}

function exitScale(d, palette) {
  const seen = new Map();
  for (let i = 0; i < d.size; i++) if (d.exit[i] > 0) seen.set(d.exit[i], (seen.get(d.exit[i]) || 0) + 1);
  const codes = [...seen.keys()].sort((a, b) => seen.get(b) - seen.get(a) || a - b).slice(0, palette.codes.length - 1);
  const classes = [{ color: palette.none, label: "none" }, { color: palette.state[SUCCEEDED], label: "exit code 0" }];
  codes.forEach((code, k) => classes.push({ color: palette.codes[k], label: "exit code " + code }));
  classes.push({ color: palette.codes[palette.codes.length - 1], label: "others" });
  const of = (i) => {
    const code = d.exit[i];
    if (code <= 0) return code === 0 ? 1 : 0;
    const k = codes.indexOf(code);
    return k < 0 ? classes.length - 1 : k + 2;
  };
  return { of, classes };
}

const COLOURS = {
  state: { label: "State", has: () => true, scale: stateScale },
  duration: { label: "Duration", has: (d) => d.time.some((x) => x > 0), scale: (d, p) => numberScale(d, p, (i) => elapsed(d, i), duration) },
  attempts: { label: "Attempts", has: (d) => d.attempts.some((x) => x > 0), scale: attemptScale },
  memory: { label: "Peak memory", has: (d) => d.memory.some((x) => x > 0), scale: (d, p) => numberScale(d, p, (i) => d.memory[i], (x) => size(Math.round(x))) },
  exit: { label: "Exit code", has: (d) => d.exit.some((x) => x !== NONE), scale: exitScale },
};

// ---- orders: which task is at which place

const ORDERS = {
  index: { label: "Index", sort: (d) => Uint32Array.from({ length: d.size }, (_, i) => i) },
  duration: {
    label: "Duration",
    sort(d) {
      const took = Float64Array.from({ length: d.size }, (_, i) => elapsed(d, i));
      return ORDERS.index.sort(d).sort((a, b) => took[b] - took[a] || a - b);
    },
  },
  failed: {
    label: "Failed first",
    sort(d) {
      const out = new Uint32Array(d.size);
      let n = 0;
      for (const state of FAILED_FIRST) for (let i = 0; i < d.size; i++) if (d.state[i] === state) out[n++] = i;
      return out;
    },
  },
};

globalThis.flowHeat = {
  STATES, FAILED, LIGHT, DARK, COLOURS, ORDERS, store, elapsed, duration, size, count, nameOf, facts, ranges,
  paints: 0, last: 0, longest: 0, tasks: 0, // of heat.js: how many maps it painted, and how many ms that took
};
