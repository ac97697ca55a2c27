"use strict";
// Recolours and recounts heatmaps, sorts, filters and saves the table of all cells. The page says the same without it.
(() => {
  const { palettes, panels } = JSON.parse(document.getElementById("data").textContent);
  const number = (value, decimals) => value.toFixed(decimals).replace(/^-(?=[0.]+$)/, "").replace("-", "−");

  function paint(cell, palette, fraction) {
    const steps = palettes[palette];
    const [fill, ink] = steps[Math.round(Math.min(1, Math.max(0, fraction)) * (steps.length - 1))];
    cell.style.background = fill;
    cell.style.color = ink;
  }

  // What the reset costs: its error less that of the full model, which is what a reset to the last epoch gives.
  function cost(panel, values, row, column) {
    if (!panel.judged || column === panel.last || row === panel.full || values[row][column] === null) return null;
    const base = values[row][panel.last] ?? (panel.full === null ? null : values[panel.full][panel.last]);
    return base === null || base === undefined ? null : values[row][column] - base;
  }

  function heatmap(panel) {
    const section = document.getElementById(panel.anchor);
    const form = section.querySelector("form");
    const rows = [...section.querySelectorAll(".heatmap tbody tr")].map((row) => [...row.querySelectorAll("td")]);
    const count = section.querySelector(".count");
    const output = form.querySelector("output");

    function difference(row, column) {
      const [ours, published] = [panel.ours[row][column], panel.published[row][column]];
      return ours === null || published === null ? null : ours - published;
    }
    function draw() {
      const view = form.elements.view ? form.elements.view.value : "ours";
      const threshold = form.elements.threshold ? Number(form.elements.threshold.value) : Infinity;
      if (output) output.textContent = threshold.toFixed(2);
      const values = view === "published" ? panel.published : panel.ours;
      rows.forEach((cells, row) => cells.forEach((cell, column) => {
        const value = view === "difference" ? difference(row, column) : values[row][column];
        const is_critical = view !== "difference" && cost(panel, values, row, column) > threshold;
        cell.classList.toggle("critical", is_critical);
        cell.classList.toggle("none", value === null);
        if (value === null) {
          cell.textContent = "–";
          cell.style.background = cell.style.color = "";
        } else if (view === "difference") {
          cell.textContent = (value > 0 ? "+" : "") + number(value, panel.decimals);
          paint(cell, "difference", 0.5 + (2 * value) / panel.max);
        } else {
          cell.textContent = number(value, panel.decimals);
          paint(cell, is_critical ? "critical" : "robust", value / panel.max);
        }
      }));
      if (count) count.textContent = view === "difference" ? differences() : classes(values, threshold);
    }
    function classes(values, threshold) {
      const told = panel.columns.map((name, column) => {
        if (name !== "reset to 0" && name !== "re-randomized") return null;
        const costs = values.map((_, row) => cost(panel, values, row, column)).filter((value) => value !== null);
        const critical = costs.filter((value) => value > threshold).length;
        return `${name}: ${critical} critical, ${costs.length - critical} robust`;
      });
      return told.filter((text) => text !== null).join(" · ");
    }
    function differences() {
      const all = panel.ours.flatMap((cells, row) => cells.map((_, column) => difference(row, column)));
      const known = all.filter((value) => value !== null).map(Math.abs);
      const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
      return `${known.length} cells: mean |difference| ${mean.toFixed(4)}, largest ${Math.max(...known).toFixed(4)}`;
    }
    form.addEventListener("input", draw);
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  function cells() {
    const table = document.getElementById("all");
    if (!table) return;
    const body = table.tBodies[0];
    const [filter, shown] = [document.getElementById("filter"), document.getElementById("shown")];
    const rows = [...body.rows];
    const natural = new Intl.Collator("en", { numeric: true });
    const text = (row, column) => row.cells[column].textContent;

    function narrow() {
      const words = filter.value.toLowerCase().split(/\s+/).filter((word) => word);
      rows.forEach((row) => {
        const all = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        row.hidden = !words.every((word) => all.includes(word));
      });
      shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    }
    function sort(column, head) {
      const down = head.getAttribute("aria-sort") === "ascending";
      const compare = (a, b) => {
        const [x, y] = [text(a, column), text(b, column)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = isNaN(x) || isNaN(y) ? natural.compare(x, y) : x - y;
        return down ? -order : order;
      };
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows.sort(compare));
    }
    function save() {
      const quote = (words) => (/[",\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words);
      const line = (row) => [...row.cells].map((cell) => quote(cell.textContent)).join(",") + "\n";
      const csv = [table.tHead.rows[0], ...rows.filter((row) => !row.hidden)].map(line).join("");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
      link.download = "cells.csv";
      link.click();
      URL.revokeObjectURL(link.href);
    }
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => sort(column, head));
    });
    filter.addEventListener("input", narrow);
    filter.form.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("save").addEventListener("click", save);
    narrow();
  }

  panels.forEach(heatmap);
  cells();
  document.documentElement.classList.add("ready");
})();
