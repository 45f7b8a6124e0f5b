/* A table of any length, of which only the rows are there that can be seen, and some around them. */
"use strict";
(() => {
  const { make } = pdefm;
  const AROUND = 6;

  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  const isMissing = (value) => value === null || value === undefined || value === "";

  /* Missing values come last whatever the direction, equal ones stay in their order. */
  const sorted = (rows, column, direction) => {
    if (!column?.value) return rows;
    const items = rows.map((row, i) => ({ row, value: column.value(row), i }));
    items.sort((a, b) => {
      const gone = isMissing(a.value) - isMissing(b.value);
      if (gone || isMissing(a.value)) return gone || a.i - b.i;
      return direction * compare(a.value, b.value) || a.i - b.i;
    });
    return items.map((item) => item.row);
  };

  /*
   * columns: { key, title, label, note, value(row), cell(row), kind, group, width, head }, `value` if it can be sorted by, `head` for
   * the one that names a row. sort: { key, direction }; onSort gets the key of a column.
   */
  const table = ({ label, height, onSort }) => {
    const scroll = make("div", { class: "scroll virtual", tabindex: "0", role: "region", "aria-label": label });
    const element = make("table");
    const columnGroup = make("colgroup");
    const head = make("thead");
    const body = make("tbody");
    element.append(columnGroup, head, body);
    scroll.append(element);
    scroll.style.setProperty("--row", `${height}px`);
    const spacer = () => make("tr", { class: "spacer", "aria-hidden": "true" }, make("td"));
    const [above, below] = [spacer(), spacer()];
    let columns = [];
    let rows = [];
    let heads = 1;
    const shown = new Map();

    const drawn = (place) => {
      const row = rows[place];
      const line = make("tr", { "aria-rowindex": String(place + heads + 1), class: row.class });
      for (const column of columns) {
        const content = column.cell(row);
        const cell = content instanceof HTMLTableCellElement ? content : make(column.head ? "th" : "td", {}, content);
        if (column.head) cell.scope = "row";
        cell.classList.add(...(column.kind ?? "text").split(" "));
        if (column.first) cell.classList.add("first");
        line.append(cell);
      }
      return line;
    };

    const draw = () => {
      const room = Math.max(scroll.clientHeight, innerHeight);  // before it is filled it is lower than it may be
      const from = Math.max(0, Math.floor((scroll.scrollTop - head.offsetHeight) / height) - AROUND);
      const to = Math.min(rows.length, Math.ceil((scroll.scrollTop + room) / height) + AROUND);
      const focused = document.activeElement;
      for (const [place, line] of shown) {
        if (place >= from && place < to) continue;
        if (line.contains(focused)) scroll.focus({ preventScroll: true });
        line.remove();
        shown.delete(place);
      }
      let after = above;
      for (let place = from; place < to; place += 1) {
        if (!shown.has(place)) {
          const line = drawn(place);
          shown.set(place, line);
          after.after(line);
        }
        after = shown.get(place);
      }
      above.firstChild.style.height = `${from * height}px`;
      below.firstChild.style.height = `${(rows.length - to) * height}px`;
      above.hidden = from === 0;
      below.hidden = to === rows.length;
    };

    const header = (sort) => {
      const line = make("tr", { class: "heads", "aria-rowindex": "1" });
      for (const column of columns) {
        const words = [column.title, column.note && make("small", { text: column.note })];
        const cell = make("th", { scope: "col", class: `${column.kind ?? "text"}${column.first ? " first" : ""}`, title: column.hint });
        if (column.value && onSort) {
          cell.append(make("button", { type: "button", "aria-label": column.label, on: { click: () => onSort(column.key) } }, ...words));
          if (sort?.key === column.key) cell.setAttribute("aria-sort", sort.direction > 0 ? "ascending" : "descending");
        } else cell.append(...words.filter(Boolean));
        line.append(cell);
      }
      const lines = [line];
      if (columns.some((column) => column.group)) {
        const groups = make("tr", { class: "groups", "aria-rowindex": "1" });
        line.setAttribute("aria-rowindex", "2");
        for (let i = 0; i < columns.length;) {
          const { group } = columns[i];
          let span = 1;
          while (i + span < columns.length && columns[i + span].group === group) span += 1;
          const kind = `${columns[i].kind ?? "text"}${columns[i].first ? " first" : ""}`;
          groups.append(group
            ? make("th", { scope: "colgroup", colspan: String(span), class: "group first" }, make("span", { text: group }))
            : make("td", { colspan: String(span), class: span === 1 ? kind : "" }));
          i += span;
        }
        lines.unshift(groups);
      }
      heads = lines.length;
      head.replaceChildren(...lines);
      columnGroup.replaceChildren(...columns.map((column) => make("col", { class: `w-${column.width ?? "score"}` })));
    };

    /* Rows come in the order to be shown in, `sort` tells by which column that is. */
    const show = (given) => {
      const keptFocus = head.contains(document.activeElement) && document.activeElement.closest("th").cellIndex;
      columns = given.columns;
      rows = given.rows;
      header(given.sort);
      element.setAttribute("aria-rowcount", String(rows.length + heads));
      shown.clear();
      body.replaceChildren(above, below);
      for (const each of [above, below]) each.firstChild.colSpan = columns.length;
      scroll.hidden = rows.length === 0;
      draw();
      if (keptFocus !== false) head.querySelector(`.heads > :nth-child(${keptFocus + 1}) > button`)?.focus({ preventScroll: true });
    };

    scroll.addEventListener("scroll", draw, { passive: true });
    addEventListener("resize", draw);
    return { element: scroll, show };
  };

  Object.assign(pdefm, { table, sorted });
})();
