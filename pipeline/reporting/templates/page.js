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

const value = (row, column) => row.cells[column].textContent.trim();

function isNumeric(rows, column) {
  return rows.every(
    (row) => value(row, column) === "-" || !Number.isNaN(number(value(row, column))));
}

// Rows in the order of a column, the lowest or the highest first; those without a value stay last.
function sorted(rows, column, numeric, falling) {
  const known = rows.filter((row) => value(row, column) !== "-");
  known.sort((a, b) => numeric
    ? number(value(a, column)) - number(value(b, column))
    : value(a, column).localeCompare(value(b, column), "en", { numeric: true }));
  if (falling) known.reverse();
  return [...known, ...rows.filter((row) => value(row, column) === "-")];
}

// A click on a head sorts, numbers from the highest and words from A; another one sorts the other
// way round, a third restores the order.
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
      const numeric = isNumeric(blocks.filter((rows) => rows[0]?.cells.length > 1).flat(), column);
      const falling = numeric === (clicks === 1);
      if (clicks) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      body.replaceChildren(...blocks.flatMap(
        (rows) => (clicks && rows.length > 1 ? sorted(rows, column, numeric, falling) : rows)));
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
