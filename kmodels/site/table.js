// Sorting and filtering of tables that are complete without this file: it reads what the page says and adds no words of
// its own but a count.
"use strict";

const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function keyOf(row, column) {
  const cell = row.cells[column];
  const text = (cell.dataset.sort ?? cell.textContent).trim();
  return { text, number: text === "" ? NaN : Number(text) };
}

// What has no value stands last, whichever way the others stand.
function compare(one, other, sign) {
  const empty = (key) => key.text === "" || key.text === "–";
  if (empty(one) || empty(other)) return Number(empty(one)) - Number(empty(other));
  const numbers = !Number.isNaN(one.number) && !Number.isNaN(other.number);
  return sign * (numbers ? one.number - other.number : words.compare(one.text, other.text));
}

function sortBy(table, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [keyOf(row, heading.cellIndex), row]);
  keyed.sort((a, b) => compare(a[0], b[0], descending ? -1 : 1));
  body.append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sortBy(table, heading));
  }
}

for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.replace(/\s+/g, " ").toLowerCase()]));
  const apply = () => {
    const asked = new FormData(form);
    const wanted = (asked.get("text") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits =
        wanted.every((word) => texts.get(row).includes(word)) &&
        ["report", "said", "verdict"].every((name) => !asked.get(name) || row.dataset[name] === asked.get(name));
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
