"use strict";
const order = new Intl.Collator("en", { numeric: true });

// A number is what a cell begins with, so "63.6 ± 2.1" is 63.6. Cells without a value stay last in both directions.
const value = (text, numeric) => (numeric ? Number.parseFloat(text) : text);
const missing = (found) => Number.isNaN(found) || found === "" || found === "-";

function sort(head, index, numeric) {
  const table = head.closest("table");
  const down = head.getAttribute("aria-sort") === "ascending";
  const rows = Array.from(table.tBodies[0].rows, (row) => [value(row.cells[index].textContent.trim(), numeric), row]);
  rows.sort(([a], [b]) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const ascending = numeric ? a - b : order.compare(a, b);
    return down ? -ascending : ascending;
  });
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 2) continue;
  Array.from(table.tHead.rows[0].cells).forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, index, head.classList.contains("n")));
    head.append(button);
  });
}

// Paper cannot be unfolded.
let closed = [];
addEventListener("beforeprint", () => {
  closed = Array.from(document.querySelectorAll("details:not([open])"));
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
