// The grid of steps by runs: one stop for the tab key, arrows go about in it. It begins at
// its right end, where the newest run is.

let at = null; // row and column of the link that the tab key reaches; null: the newest run's

function rows(grid) {
  return [...grid.querySelectorAll("tr")].map((tr) => [...tr.children].slice(1).map((c) => c.querySelector("a")));
}

function settle() {
  for (const grid of document.querySelectorAll("[data-grid]")) {
    const all = rows(grid);
    const now = (at && all[at[0]]?.[at[1]]) || all[0]?.at(-1);
    for (const a of grid.querySelectorAll("a")) a.tabIndex = a === now ? 0 : -1;
  }
}

document.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const link = event.target.closest?.("[data-grid] a");
  if (!move || !link) return;
  const grid = link.closest("[data-grid]");
  const all = rows(grid);
  let y = all.findIndex((row) => row.includes(link));
  let x = all[y].indexOf(link);
  do {
    y += move[0];
    x += move[1];
  } while (all[y] && x in all[y] && !all[y][x]);
  const next = all[y]?.[x];
  if (!next) return;
  event.preventDefault();
  at = [y, x];
  link.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

settle();
for (const grid of document.querySelectorAll("[data-grid]")) grid.scrollLeft = grid.scrollWidth;
document.addEventListener("flow:region", settle);
