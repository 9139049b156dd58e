"use strict";
// Sorting, searching and choosing in the tables. Without this script every row is there.
(() => {
  const SHOWN = 100;
  const number = (text) => {
    const found = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(found) ? -Infinity : found;
  };

  function enhance(table) {
    const heads = [...table.tHead.rows[0].cells];
    const many = table.classList.contains("many");
    const body = table.tBodies[0];
    let rows = [...table.tBodies].flatMap((one) => [...one.rows]);
    if (!rows.length) return;
    if (many && table.tBodies[1]) table.tBodies[1].remove();
    // Read when there is time, or on first use: the first paint does not wait for it.
    let texts = null;
    const read = () => {
      if (texts === null) {
        texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
      }
    };
    let limit = SHOWN;
    const chosen = new Map();
    let words = [];
    let output = null;
    let more = null;

    function show() {
      read();
      const found = rows.filter((row) =>
        words.every((word) => texts.get(row).includes(word)) &&
        [...chosen].every(([at, value]) => row.cells[at].textContent === value));
      body.replaceChildren(...found.slice(0, limit));
      if (output) output.value = `${found.length} of ${rows.length}`;
      if (more) {
        more.hidden = found.length <= limit;
        more.textContent = `Show all ${found.length} rows`;
      }
    }

    function sort(at) {
      const head = heads[at];
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numeric = head.classList.contains("n");
      const keys = new Map(rows.map((row) => {
        const text = row.cells[at].textContent;
        return [row, numeric ? number(text) : text];
      }));
      const sign = up ? 1 : -1;
      rows = [...rows].sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      });
      show();
    }

    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sort(at));
      head.replaceChildren(button);
    });
    if (!many) return;
    (window.requestIdleCallback || setTimeout)(read);

    const form = document.createElement("form");
    form.className = "filter";
    form.addEventListener("submit", (event) => event.preventDefault());
    const labelled = (name, control) => {
      const label = document.createElement("label");
      label.append(name, document.createElement("br"), control);
      form.append(label);
    };
    const search = document.createElement("input");
    search.type = "search";
    search.addEventListener("input", () => {
      words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      limit = SHOWN;
      show();
    });
    labelled("Search", search);
    heads.forEach((head, at) => {
      if (!("choose" in head.dataset)) return;
      const select = document.createElement("select");
      select.append(new Option("all", ""));
      [...new Set(rows.map((row) => row.cells[at].textContent))].sort()
        .forEach((value) => select.append(new Option(value || "none", "=" + value)));
      select.addEventListener("change", () => {
        if (select.value) chosen.set(at, select.value.slice(1));
        else chosen.delete(at);
        limit = SHOWN;
        show();
      });
      labelled(head.textContent, select);
    });
    output = document.createElement("output");
    output.value = `${rows.length} of ${rows.length}`;
    form.append(output);
    table.parentElement.before(form);
    more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.hidden = rows.length <= SHOWN;
    more.textContent = `Show all ${rows.length} rows`;
    more.addEventListener("click", () => { limit = rows.length; show(); });
    table.parentElement.after(more);
  }

  document.querySelectorAll("table").forEach(enhance);

  // A link to a folded part opens it.
  const open = () => {
    const part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = part && part.querySelector(":scope > details");
    if (folded) folded.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
