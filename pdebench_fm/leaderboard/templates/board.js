"use strict";
(() => {
  const details = JSON.parse(document.getElementById("details").textContent);
  const control = (id) => document.getElementById(id);
  const boards = [...document.querySelectorAll(".board")];
  const tabs = [...document.querySelectorAll(".tabs button")];
  let active = boards[0];

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  /* What a row holds when it is opened. */
  const pairs = (facts) => {
    const list = make("dl", undefined, "pairs");
    for (const [name, value] of facts) list.append(make("dt", name), make("dd", value));
    return list;
  };

  const scoreTable = (scores) => {
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const title of ["Task", "mean", "± sd", "95 % interval", "seeds", ...details.metrics, ""]) {
      const cell = make("th", title, title === "Task" ? "" : "number");
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const score of scores) {
      const row = body.insertRow();
      const name = make("th", score.task);
      name.scope = "row";
      row.append(name);
      for (const value of [score.mean, score.deviation, score.interval, score.seeds, ...score.metrics])
        row.append(make("td", value, "number"));
      row.append(make("td", score.remark && "† " + score.remark));
    }
    const scroll = make("div", undefined, "scroll");
    scroll.tabIndex = 0;
    scroll.append(table);
    return scroll;
  };

  /* Facts that all results of the row share are said once, the others in one card per result. */
  const provenance = (scores) => {
    const results = scores.map((score) => details.entries[score.entry]);
    const has = (facts, [name, value]) => facts.some((fact) => fact[0] === name && fact[1] === value);
    const shared = results[0].filter((fact) => results.every((facts) => has(facts, fact)));
    const own = results.map((facts) => facts.filter((fact) => !has(shared, fact))).filter((facts) => facts.length);
    const cards = make("div", undefined, "cards");
    cards.append(...own.map(pairs));
    return [pairs(shared), cards];
  };

  const panel = (key) => {
    const { model, scores } = details.rows[key];
    const element = make("div", undefined, "panel");
    element.append(
      make("h3", "Model"), pairs(model),
      make("h3", "Scores, averaged over seeds"), scoreTable(scores),
      make("h3", "Provenance"), ...provenance(scores),
    );
    return element;
  };

  const toggle = (body) => {
    const button = body.querySelector(".open");
    const opened = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!opened));
    if (opened) {
      body.querySelector(".details").remove();
      return;
    }
    const row = make("tr", undefined, "details");
    const cell = make("td");
    cell.colSpan = body.rows[0].cells.length;
    cell.append(panel(body.dataset.row));
    row.append(cell);
    body.append(row);
  };

  /* Sorting: missing values last whatever the direction, equal ones in their first order. */
  const sort = (table, head, direction) => {
    const column = head.cellIndex;
    const numeric = head.dataset.type === "number";
    const key = (body) => {
      const value = body.rows[0].cells[column].dataset.value;
      if (value === undefined || value === "") return null;
      return numeric ? Number(value) : value;
    };
    const compare = (a, b) => numeric ? a - b : a.localeCompare(b, "en", { numeric: true });
    const items = [...table.tBodies].map((body) => ({ body, key: key(body), first: Number(body.dataset.first) }));
    items.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.first - b.first;
      return direction * compare(a.key, b.key) || a.first - b.first;
    });
    table.append(...items.map((item) => item.body));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  };

  const showColumns = (board) => {
    const [kind, wanted] = control("tasks").value.split(":");
    const table = board.querySelector(".ranking");
    const heads = table.querySelector(".heads");
    const shown = [...heads.cells].map((head) => !head.dataset.task || !kind || head.dataset[kind] === wanted);
    const starts = new Set();
    for (const group of table.querySelectorAll(".systems th")) {
      const members = [...heads.cells].filter((head) => head.dataset.system === group.dataset.system);
      const visible = members.filter((head) => shown[head.cellIndex]);
      group.hidden = visible.length === 0;
      if (visible.length) {
        group.colSpan = visible.length;
        group.classList.add("first");
        starts.add(visible[0].cellIndex);
      }
    }
    for (const row of [heads, ...[...table.tBodies].map((body) => body.rows[0])]) {
      for (const cell of row.cells) {
        cell.hidden = !shown[cell.cellIndex];
        cell.classList.toggle("first", starts.has(cell.cellIndex));
      }
    }
    const sorted = heads.querySelector("[aria-sort]");
    if (!sorted || sorted.hidden) {
      const head = [...heads.cells].find((cell) => cell.dataset.task && !cell.hidden) || heads.cells[0];
      sort(table, head, 1);
    }
  };

  const showRows = (board) => {
    const shots = control("shots").value;
    const start = control("start").value;
    const words = control("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const named = (element) => words.every((word) => element.dataset.name.includes(word));
    const bodies = [...board.querySelector(".ranking").tBodies];
    for (const body of bodies) {
      const { dataset } = body;
      body.hidden = (shots !== "" && dataset.shots !== shots) || (start !== "" && dataset.start !== start)
        || !named(body);
    }
    for (const row of board.querySelectorAll(".gains tbody tr")) row.hidden = !named(row);
    const count = bodies.filter((body) => !body.hidden).length;
    board.querySelector(".none").hidden = count > 0;
    control("count").textContent = `${count} of ${bodies.length} rows`;
  };

  const refresh = () => {
    for (const board of boards) board.hidden = board !== active;
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.board === active.dataset.board));
    showColumns(active);
    showRows(active);
  };

  for (const board of boards) {
    const table = board.querySelector(".ranking");
    [...table.tBodies].forEach((body, i) => {
      body.dataset.first = i;
      body.querySelector(".open").addEventListener("click", () => toggle(body));
    });
    table.querySelector(".heads").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const head = button.parentElement;
      sort(table, head, head.getAttribute("aria-sort") === "ascending" ? -1 : 1);
    });
    board.querySelector(".reset").addEventListener("click", () => {
      for (const id of ["shots", "start", "filter"]) control(id).value = "";
      refresh();
    });
    const choose = board.querySelector(".choose");
    if (choose) {
      const show = () => {
        for (const table of board.querySelectorAll("[data-comparison]"))
          table.hidden = table.dataset.comparison !== choose.querySelector("select").value;
      };
      choose.hidden = false;
      choose.addEventListener("change", show);
      show();
    }
  }
  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      active = boards.find((board) => board.dataset.board === tab.dataset.board);
      refresh();
    });
  }
  for (const id of ["shots", "tasks", "start"]) control(id).addEventListener("change", refresh);
  control("filter").addEventListener("input", refresh);
  control("toolbar").hidden = false;
  document.documentElement.classList.add("script");
  refresh();
})();
