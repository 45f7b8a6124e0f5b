/* Charts of what the tables hold: drawn by Observable Plot when they come into sight, each with its numbers as a table. */
"use strict";
(() => {
  const { make, number, count, shotsWords, at, all, tasks, rows, models, isCurrent, score, data, state, boards } = pdefm;
  const MOST = 10;
  const FLOOR = 1e-5;  // errors below are an exact solver's, and would leave all others in one line
  const place = document.getElementById("drawing");
  const note = document.getElementById("chart-note");
  const gains = all(data.gains);
  const regimes = [...new Set(tasks.map((task) => task.regime))];

  const times = new Map();
  for (const { words } of models) times.set(words, (times.get(words) ?? 0) + 1);
  const nameOf = (row, shots = false) => {
    const revision = times.get(row.model.words) > 1 && row.model.short ? ` @${row.model.short}` : "";
    return `${row.model.name}${revision} (${row.model.organisation}${row.start === "scratch" ? ", scratch" : ""}${shots ? `, ${row.shots} shots` : ""})`;
  };

  /* What a chart is of: all tasks, those of one system, or a task. */
  const ofOptions = (view) => {
    const found = [["overall", "all tasks"]];
    for (const [name, title] of view.systems) found.push([`system ${name}`, title]);
    for (const task of view.columns) if (isCurrent(tasks[task])) found.push([`task ${tasks[task].task}`, tasks[task].task]);
    return found;
  };
  const ofChosen = (view, kind) => {
    const { chosen, columns } = view;
    if (chosen.of) return chosen.of;
    const ranked = chosen.system ? `system ${chosen.system}` : "overall";
    const nobody = kind.isOfRanking && data.rankings.every((each) => each.board !== view.board || each.scope !== scopeOf(ranked) || !each.standings.row.length);
    const first = tasks[columns.find((task) => isCurrent(tasks[task])) ?? columns[0]];
    return first && (columns.length === 1 || nobody) ? `task ${first.task}` : ranked;
  };
  const scopeOf = (of) => (of === "overall" ? of : of.replace(/^system /, ""));

  /* Errors of rows that no filter but the shots' hides. */
  const errorsOf = (view, of) => {
    const seen = (row) => !view.hiddenBy(row, "other shots");
    if (of.startsWith("task ")) {
      const task = tasks.findIndex((each, i) => each.task === of.slice(5) && isCurrent(each) && view.inBoard.some((row) => row.scores.has(i)));
      return view.inBoard.filter((row) => seen(row) && row.scores.has(task)).map((row) => {
        const found = score(row, task);
        return { row, shots: row.shots, error: found.mean, low: found.low, high: found.high };
      });
    }
    return data.rankings.filter((each) => each.board === view.board && each.scope === scopeOf(of)).flatMap(({ standings }) =>
      standings.row.map((row, i) => ({ ...at(standings, i), row: rows[row], shots: rows[row].shots })).filter(({ row }) => seen(row)));
  };

  const isNarrow = () => place.clientWidth < 600;
  const withShots = (found, view) => found.filter((each) => view.chosen.shots === "" || String(each.shots) === view.chosen.shots);
  const drawn = (found) => found.filter((each) => each.error >= FLOOR).map((each) => ({ ...each, low: Math.max(each.low, each.error / 10, FLOOR / 10) }));
  const tooLow = (found) => {
    const names = new Set(found.filter((each) => each.error < FLOOR).map((each) => nameOf(each.row)));
    return names.size ? ` Not drawn, as an error is below ${FLOOR}: ${[...names].join(", ")}.` : "";
  };

  /* The series whose last error is lowest, and words for the others. */
  const best = (points) => {
    const groups = new Map();
    for (const each of points) groups.set(each.label, [...(groups.get(each.label) ?? []), each]);
    const ordered = [...groups].sort(([, a], [, b]) => a.at(-1).error - b.at(-1).error);
    const kept = new Set(ordered.slice(0, MOST).map(([label]) => label));
    const words = ordered.length > MOST ? ` Of ${ordered.length} models the ${MOST} with the lowest errors are drawn: filter to see others.` : "";
    return { points: points.filter((each) => kept.has(each.label)), words };
  };

  const error = { type: "log", label: "relative ℓ² error", tickFormat: (value) => (/^[125](\.0*)?e/.test(value.toExponential()) ? number(value, 1) : ""), grid: true };
  const title = (each) => `${each.label}\n${each.words}: ${number(each.error)} (${number(each.low)}–${number(each.high)})`;
  const lines = (points, x, extra = {}) => [
    Plot.areaY(points, { x, y1: "low", y2: "high", z: "label", fill: "label", fillOpacity: 0.14, ...extra }),
    ...[false, true].map((scratch) => Plot.lineY(points.filter((each) => (each.row.start === "scratch") === scratch),
      { x, y: "error", z: "label", stroke: "label", strokeWidth: 1.8, strokeDasharray: scratch ? "5 4" : undefined, ...extra })),
    Plot.ruleX(points, { x, y1: "low", y2: "high", z: "label", stroke: "label", strokeOpacity: 0.5, ...extra }),
    Plot.dot(points, { x, y: "error", z: "label", stroke: "label", symbol: "label", fill: "var(--page)", r: 4, ...extra }),
    Plot.tip(points, Plot.pointer({ x, y: "error", title, ...extra })),
  ];
  const legends = { symbol: { legend: true } };

  const kinds = {
    shots: {
      words: "Error against shots",
      isOfRanking: true,
      make(view, of) {
        const found = errorsOf(view, of).map((each) => ({ ...each, label: nameOf(each.row), words: `${each.shots} shots` }));
        const { points, words } = best(drawn(found).sort((a, b) => a.shots - b.shots));
        const domain = [...new Set(points.map((each) => each.shots))].sort((a, b) => a - b);
        return { points, said: `Bands are 95 % intervals.${words}${tooLow(found)}`, plot: { x: { type: "point", domain, label: "shots" }, y: error, ...legends, marks: lines(points, "shots") } };
      },
    },
    size: {
      words: "Error against size",
      isOfRanking: true,
      make(view, of) {
        const found = withShots(errorsOf(view, of), view).filter((each) => each.row.model.parameters).map((each) => {
          const { model, start } = each.row;
          const family = model.family ?? model.name;
          return { ...each, parameters: model.parameters, label: `${family} (${model.organisation}${start === "scratch" ? ", scratch" : ""})`, words: `${model.name}, ${count(model.parameters)} parameters` };
        });
        const { points, words } = best(drawn(found).sort((a, b) => a.parameters - b.parameters));
        return { points, said: `A line joins the models of one family.${words}${tooLow(found)}`, plot: { x: { type: "log", label: "parameters", tickFormat: (value) => (/^1(\.0*)?e/.test(value.toExponential()) ? count(value) : "") }, y: error, ...legends, marks: lines(points, "parameters") } };
      },
    },
    regimes: {
      words: "In-domain to hard",
      make(view, of) {
        const chosen = of.startsWith("system ") ? of.slice(7) : of.startsWith("task ") ? tasks.find((each) => each.task === of.slice(5))?.system ?? of : "";
        const shown = tasks.map((task, i) => ({ ...task, i })).filter((task) => isCurrent(task) && (!chosen || task.system === chosen));
        const found = view.inBoard.filter((row) => !view.hiddenBy(row)).flatMap((row) => shown.filter((task) => row.scores.has(task.i)).map((task) => {
          const { mean, low, high } = score(row, task.i);
          return { row, shots: row.shots, error: mean, low, high, regime: task.regime, system: task.system_title, label: nameOf(row, view.chosen.shots === ""), words: task.task };
        }));
        const { points, words } = best(drawn(found));
        const facets = [...new Set(points.map((each) => each.system))];
        return { points, said: `${words}${tooLow(found)}`.trim(), plot: { x: { type: "point", domain: regimes, label: "regime", tickRotate: isNarrow() ? -60 : 0 }, marginBottom: isNarrow() ? 70 : 40, fx: { domain: facets, label: null }, y: error, ...legends, marks: lines(points, "regime", { fx: "system" }) } };
      },
    },
    front: {
      words: "Error against parameters: the Pareto front",
      isOfRanking: true,
      make(view, of) {
        const found = withShots(errorsOf(view, of), view).filter((each) => each.row.model.parameters).map((each) => ({ ...each, parameters: each.row.model.parameters, label: nameOf(each.row, view.chosen.shots === ""), words: `${count(each.row.model.parameters)} parameters` }));
        const points = drawn(found).sort((a, b) => a.parameters - b.parameters || a.error - b.error);
        let lowest = Infinity;
        for (const each of points) {
          each.front = each.error < lowest;
          lowest = Math.min(lowest, each.error);
          if (each.front) each.words += ", on the front";
        }
        const front = points.filter((each) => each.front);
        const marks = [
          Plot.line(front, { x: "parameters", y: "error", curve: "step-after", stroke: "var(--accent)", strokeWidth: 1.8 }),
          Plot.ruleX(points, { x: "parameters", y1: "low", y2: "high", stroke: "currentColor", strokeOpacity: 0.3 }),
          Plot.dot(points, { x: "parameters", y: "error", z: null, stroke: (each) => (each.front ? "var(--accent)" : "var(--muted)"), fill: (each) => (each.front ? "var(--accent)" : "none"), r: 4 }),
          ...[["start", front.slice(0, -1)], ["end", front.slice(-1)]].map(([textAnchor, some]) =>
            Plot.text(some, { x: "parameters", y: "error", text: (each) => each.row.model.name, dy: 14, textAnchor, fill: "currentColor" })),
          Plot.tip(points, Plot.pointer({ x: "parameters", y: "error", title })),
        ];
        return { points, said: `Filled: no smaller model has a lower error.${tooLow(found)}`, plot: { x: { type: "log", label: "parameters", tickFormat: (value) => (/^1(\.0*)?e/.test(value.toExponential()) ? count(value) : "") }, y: error, marks } };
      },
    },
    gain: {
      words: "Data-efficiency gain",
      make(view, of) {
        const inBoard = gains.filter((each) => each.board === view.board && isCurrent(tasks[each.task]));
        const names = [...new Set(inBoard.map((each) => tasks[each.task].task))];
        const wanted = of.startsWith("task ") ? of.slice(5) : names.find((name) => view.columns.some((task) => tasks[task].task === name));
        const seen = new Set(view.inBoard.filter((row) => !view.hiddenBy(row, "other shots")).map((row) => row.model));
        const found = inBoard.filter((each) => tasks[each.task].task === wanted && seen.has(models[each.model])).map((each) => {
          const row = { model: models[each.model], start: "pretrained" };
          const sign = { ">": "more than ", "<": "less than " }[each.relation] ?? "";
          const gain = each.needed === null || !each.shots ? null : each.needed / each.shots;
          const said = each.needed === null ? "–" : each.shots ? `${sign}${number(gain, 2)}×` : `${sign}${number(each.needed, 2)} shots`;
          return { ...each, row, gain, said, error: each.pretrained ?? Infinity, label: nameOf(row), words: `${each.shots} shots` };
        });
        const { points: some, words } = best(found);
        const points = some.filter((each) => each.gain !== null);
        const domain = [...new Set(points.map((each) => each.shots))].sort((a, b) => a - b);
        const marks = [
          Plot.ruleY([1], { stroke: "currentColor", strokeOpacity: 0.5 }),
          Plot.lineY(points, { x: "shots", y: "gain", z: "label", stroke: "label", strokeWidth: 1.8 }),
          Plot.dot(points, { x: "shots", y: "gain", z: "label", stroke: "label", symbol: "label", fill: "var(--page)", r: 4 }),
          Plot.text(points.filter((each) => each.relation !== "="), { x: "shots", y: "gain", text: (each) => (each.relation === ">" ? "or more" : "or less"), dy: -11, fill: "currentColor" }),
          Plot.tip(points, Plot.pointer({ x: "shots", y: "gain", title: (each) => `${each.label}\n${each.words}: ${each.said}` })),
        ];
        const columns = [
          ["Model", (each) => each.label], ["Shots", (each) => String(each.shots)], ["Pretrained", (each) => number(each.pretrained)],
          ["Scratch", (each) => number(each.scratch)], ["Gain", (each) => each.said],
        ];
        const meaning = "How many times more examples a start from scratch needs to be as good; “more than”: as many as were tried do not do, “less than”: the fewest tried do already; for 0 shots, in the table, the examples that pretraining is worth.";
        return { points, listed: found, columns, of: wanted && `task ${wanted}`, said: `${meaning}${words}`, plot: { x: { type: "point", domain, label: "shots" }, y: { type: "log", label: "times more examples from scratch", grid: true }, ...legends, marks } };
      },
    },
    private: {
      words: "Public against private score",
      make(view) {
        const points = view.inBoard.filter((row) => !view.hiddenBy(row)).flatMap((row) => view.columns.map((task) => score(row, task)).filter((found) => found?.private > 0 && found.mean > 0).map((found) => ({
          row, shots: row.shots, error: found.private, public: found.mean, low: found.private * Math.exp(-1.96 * found.private_error), high: found.private * Math.exp(1.96 * found.private_error),
          label: nameOf(row, true), words: `${tasks[found.task].task}, ${found.agreement}, public ${number(found.mean)}, private`, task: tasks[found.task].task, agreement: found.agreement,
        }))).filter((each) => each.error >= FLOOR);
        const ends = [Math.min(...points.map((each) => Math.min(each.public, each.low))), Math.max(...points.map((each) => Math.max(each.public, each.high)))];
        const marks = [
          Plot.line([[ends[0], ends[0]], [ends[1], ends[1]]], { stroke: "currentColor", strokeOpacity: 0.5 }),
          Plot.ruleX(points, { x: "public", y1: "low", y2: "high", stroke: "currentColor", strokeOpacity: 0.3 }),
          Plot.dot(points, { x: "public", y: "error", z: null, stroke: "agreement", symbol: "agreement", fill: "var(--page)", r: 4 }),
          Plot.tip(points, Plot.pointer({ x: "public", y: "error", title })),
        ];
        const columns = [
          ["Model", (each) => each.label], ["Task", (each) => each.task], ["Public", (each) => number(each.public)],
          ["Private", (each) => number(each.error)], ["95 % interval", (each) => `${number(each.low)}–${number(each.high)}`], ["Agreement", (each) => each.agreement],
        ];
        return { points, columns, said: "A point is a model on a task; on the line both scores are the same. Above it, further than sampling explains, is contamination of the public rows.", plot: { x: { ...error, grid: false, label: "public error" }, y: { ...error, label: "error on rows that nobody had seen" }, ...legends, marks } };
      },
    },
  };

  const numbers = ({ points, listed, columns }) => {
    const of = columns ?? [
      ["Model", (each) => each.label], ["", (each) => each.words], ["Error", (each) => number(each.error)],
      ["95 % interval", (each) => `${number(each.low)}–${number(each.high)}`],
    ];
    const table = pdefm.table({ label: "Numbers of the chart", height: 30 });
    table.element.classList.add("plain");
    const show = () => table.show({
      columns: of.map(([name, words], i) => ({ key: String(i), title: name, kind: i ? "text" : "model", width: i ? "digits" : "words", head: !i, cell: (each) => make(i ? "td" : "th", {}, make("div", { class: "clamp", text: words(each), title: words(each) })) })),
      rows: listed ?? points,
    });
    const element = make("details", { class: "numbers" }, make("summary", { text: "The numbers as a table" }), table.element);
    element.addEventListener("toggle", show);
    return element;
  };

  let current = null;
  let isSeen = false;
  let opened = false;

  const draw = () => {
    if (!current || !isSeen) return;
    const view = current;
    const { chosen } = view;
    const kind = Object.hasOwn(kinds, chosen.chart) ? kinds[chosen.chart] : kinds.shots;
    const select = document.getElementById("of");
    select.replaceChildren(make("option", { value: "", text: "as filtered" }), ...ofOptions(view).map(([value, text]) => make("option", { value, text })));
    select.value = chosen.of;
    const of = ofChosen(view, kind);
    const made = kind.make(view, of);
    const subject = chosen.chart === "private" ? "shown tasks" : (ofOptions(view).find(([value]) => value === (made.of ?? of)) ?? ["", of])[1];
    const board = boards[view.board];
    const shots = chosen.shots !== "" && !["shots", "gain"].includes(chosen.chart) ? `, ${chosen.shots === "0" ? "zero-shot" : shotsWords(chosen.shots)}` : "";
    const words = `${kind.words}, ${subject}${shots}${board ? `, ${board.track} track` : ""}`;
    opened = place.querySelector(".numbers")?.open ?? opened;
    if (!made.points.length) {
      note.textContent = "";
      place.replaceChildren(make("p", { class: "none", text: `Nothing to draw: ${words}.` }), made.listed?.length ? numbers(made) : "");
      return;
    }
    const low = made.points.reduce((a, b) => (b.error < a.error ? b : a));
    const svg = Plot.plot({
      width: Math.min(place.clientWidth, 980), height: 420, marginLeft: 56, marginBottom: 40, className: "plot",
      style: { background: "transparent", fontSize: "12px" }, ariaLabel: words,
      ariaDescription: `${made.points.length} points; the lowest error is ${number(low.error)}, ${low.label}, ${low.words}. All numbers are in the table below.`,
      ...made.plot,
    });
    /* The picture has one name and description; its parts, which have labels but no roles, have none of their own. */
    const picture = svg.tagName === "svg" ? svg : svg.querySelector("svg[aria-label]");
    picture.setAttribute("role", "img");
    for (const part of picture.querySelectorAll("[aria-label], [aria-description]")) {
      part.dataset.mark = part.getAttribute("aria-label");
      for (const name of ["aria-label", "aria-description"]) part.removeAttribute(name);
    }
    const table = numbers(made);
    table.open = opened;
    note.textContent = made.said;
    place.replaceChildren(make("h3", { text: words }), svg, table);
  };

  pdefm.showChart = (view) => {
    current = view;
    draw();
  };
  new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || isSeen) return;
    isSeen = true;
    draw();
  }, { rootMargin: "200px" }).observe(place);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) draw();
    width = innerWidth;
  });
  const choice = document.getElementById("chart");
  choice.append(...Object.entries(kinds).map(([value, { words }]) => make("option", { value, text: words })));
})();
