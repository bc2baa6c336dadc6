// Dragging over the tracks of a timeline shows that stretch of time. The links above them do
// the same without a mouse.

const least = 6; // pixels: less is a click

let drag = null;

function span() {
  const nav = document.querySelector("[data-zoom]");
  return nav && { from: Number(nav.dataset.from), to: Number(nav.dataset.to) };
}

// track returns the track that a place on the page is over: all are as wide and stand below
// one another.
function track(event) {
  return event.target.closest?.("svg.track, svg.axis, .tracks svg");
}

document.addEventListener("pointerdown", (event) => {
  const at = event.button === 0 && track(event);
  if (!at || !span()) return;
  const box = at.getBoundingClientRect();
  drag = { box, from: event.clientX, mark: null };
});

document.addEventListener("pointermove", (event) => {
  if (!drag || Math.abs(event.clientX - drag.from) < least) return;
  event.preventDefault();
  if (!drag.mark) {
    drag.mark = document.createElement("div");
    drag.mark.className = "zoom-mark";
    const table = document.querySelector(".steps table").getBoundingClientRect();
    drag.mark.style.top = table.top + scrollY + "px";
    drag.mark.style.height = table.height + "px";
    document.body.append(drag.mark);
    getSelection()?.removeAllRanges();
  }
  const [a, b] = ends(event);
  drag.mark.style.left = a + scrollX + "px";
  drag.mark.style.width = b - a + "px";
});

document.addEventListener("pointerup", (event) => {
  const { mark, box } = drag ?? {};
  if (!mark) {
    drag = null;
    return;
  }
  const [a, b] = ends(event);
  mark.remove();
  drag = null;
  const { from, to } = span();
  const at = (x) => Math.round(from + ((x - box.left) / box.width) * (to - from));
  const url = new URL(location);
  url.searchParams.set("from", at(a));
  url.searchParams.set("to", Math.max(at(b), at(a) + 1));
  location.assign(url);
});

document.addEventListener("pointercancel", () => {
  drag?.mark?.remove();
  drag = null;
});

function ends(event) {
  const x = Math.min(Math.max(event.clientX, drag.box.left), drag.box.right);
  return x < drag.from ? [x, drag.from] : [drag.from, x];
}
