// What the page does beyond reading: it copies, sorts tables and shows values at once.
// Without it, a click selects what would be copied, and a figure shows its values after a moment.
"use strict";

for (const code of document.querySelectorAll("code")) {
  const button = document.createElement("button");
  button.textContent = "copy";
  button.className = "copy";
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(code);
    button.textContent = document.execCommand("copy") ? "copied" : "press Ctrl-C";
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });
  code.after(button);
}

const UNITS = { k: 1e3, M: 1e6, min: 60, h: 3600 };
const NUMBER = /^([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\s*(k|M|min|h)\b)?/;

// The number that a cell begins with, or NaN.
function number(text) {
  const match = NUMBER.exec(text);
  return match ? Number(match[1].replaceAll(",", "")) * (UNITS[match[2]] ?? 1) : NaN;
}

// Rows in the order of a column; those without a value stay last. Numbers: the highest first.
function sorted(rows, column, reverse) {
  const value = (row) => row.cells[column].textContent.trim();
  const known = rows.filter((row) => value(row) !== "-");
  const numeric = known.every((row) => !Number.isNaN(number(value(row))));
  known.sort((a, b) => numeric
    ? number(value(b)) - number(value(a))
    : value(a).localeCompare(value(b), "en", { numeric: true }));
  if (reverse) known.reverse();
  return [...known, ...rows.filter((row) => value(row) === "-")];
}

// A click on a head sorts, another one the other way round, a third restores the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const blocks = [[]]; // a heading inside the table keeps its rows
  for (const row of body.rows) {
    if (row.className === "group") blocks.push([row], []);
    else blocks.at(-1).push(row);
  }
  let clicked = -1;
  let clicks = 0;
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    if (!head.textContent.trim() && column) continue; // bars
    const button = document.createElement("button");
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.textContent = "name";
    head.append(button);
    button.addEventListener("click", () => {
      clicks = clicked === column ? (clicks + 1) % 3 : 1;
      clicked = column;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      if (clicks) head.setAttribute("aria-sort", clicks === 1 ? "descending" : "ascending");
      body.replaceChildren(...blocks.flatMap(
        (rows) => (clicks && rows.length > 1 ? sorted(rows, column, clicks === 2) : rows)));
    });
  }
}

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
for (const strip of document.querySelectorAll(".hover rect")) {
  const text = strip.firstChild.textContent;
  strip.firstChild.remove(); // the browser's own would come on top, later
  const show = (event) => {
    tip.textContent = text;
    tip.hidden = false;
    const { clientX: x, clientY: y } = event;
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + tip.offsetHeight + 20 < innerHeight ? y + 16 : y - tip.offsetHeight - 8}px`;
  };
  strip.addEventListener("pointermove", show);
  strip.addEventListener("pointerdown", show); // a finger
  strip.addEventListener("pointerleave", () => { tip.hidden = true; });
}
