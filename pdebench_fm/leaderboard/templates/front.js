/* The front page: what is chosen, which rows that leaves, and the tables. */
"use strict";
(() => {
  const { make, spoken, number, count, plural, shotsWords, at, boards, tasks, rows, badges, isCurrent, startOf, score, data, state, sorted } = pdefm;
  const control = (id) => document.getElementById(id);
  const detailsAddress = control("data").dataset.details;

  const sizes = {
    small: ["up to 300k (64k)", (value) => value !== null && value <= 3e5],
    medium: ["300k to 4M (1m)", (value) => value > 3e5 && value <= 4e6],
    large: ["4M to 64M (16m)", (value) => value > 4e6 && value <= 6.4e7],
    huge: ["above 64M (256m)", (value) => value > 6.4e7],
    unknown: ["not stated", (value) => value === null],
  };
  const trainings = {
    stated: ["stated", (scores) => scores.every((each) => each.knowledge !== "unknown")],
    clean: ["no test row seen", (scores, row) => row.start === "scratch" || scores.every((each) => each.rows_seen === 0)],
    unseen: ["shown regimes unseen", (scores) => scores.every((each) => each.knowledge === "unseen")],
  };
  const versions = { current: "", superseded: ", superseded by a newer one", unknown: ", of which no standard rows are known" };
  const systems = [...new Map(tasks.map((task) => [task.system, task.system_title]))];
  const regimes = [...new Set(tasks.map((task) => task.regime))];
  const methodOf = (board) => (board.method === `v${board.protocol}` ? "closed" : board.method);
  const trackOf = (board) => `${board.track}-${board.protocol}`;

  const rankings = data.rankings.map((ranking) => ({ ...ranking, ranked: ranking.standings.row.length }));
  const rankingOf = (board, shots, scope) => rankings.find((each) => each.board === board && String(each.shots) === shots && each.scope === scope);

  /* Where there is a ranking with 32 shots in the closed division, that; else where most models are ranked, or most rows are. */
  const firstChoice = () => {
    const groups = new Map();
    for (const row of rows) {
      const key = `${row.board} ${row.shots}`;
      const group = groups.get(key) ?? { board: row.board, shots: row.shots, rows: 0 };
      group.rows += 1;
      groups.set(key, group);
    }
    const worth = ({ board, shots, rows: amount }) => {
      const ranked = rankingOf(board, String(shots), "overall")?.ranked ?? 0;
      const { known, protocol } = boards[board];
      return [known, protocol, methodOf(boards[board]) === "closed", shots === 32 && ranked > 0, ranked, amount, shots].map(Number);
    };
    const [best] = [...groups.values()].sort((a, b) => {
      const [x, y] = [worth(a), worth(b)];
      const i = x.findIndex((value, place) => value !== y[place]);
      return i < 0 ? 0 : y[i] - x[i];
    });
    return best;
  };

  const option = (value, text) => make("option", { value, text });
  const fill = (id, options) => control(id).append(...options.map(([value, text]) => option(value, text)));
  const unique = (values) => [...new Set(values)];

  const start = () => {
    const first = firstChoice();
    const protocols = unique(boards.map((board) => board.protocol));
    const track = (key) => {
      const board = boards.find((each) => trackOf(each) === key);
      const words = `${board.track} (${board.resolution}², ${board.test_rows} rows)`;
      return [key, protocols.length > 1 ? `${words}, protocol v${board.protocol}` : words];
    };
    fill("track", unique(boards.map(trackOf)).map(track));
    fill("method", unique(boards.map(methodOf)).map((method) => [method, method === "closed" ? "closed" : `${boards.find((each) => methodOf(each) === method).division}: ${method}`]));
    fill("shots", unique(rows.map((row) => row.shots)).sort((a, b) => a - b).map((shots) => [String(shots), shots ? String(shots) : "0 (zero-shot)"]));
    fill("system", systems);
    fill("regime", regimes.map((regime) => [regime, regime]));
    fill("size", Object.entries(sizes).map(([key, [words]]) => [key, words]));
    fill("training", Object.entries(trainings).map(([key, [words]]) => [key, words]));
    state.start({
      track: trackOf(boards[first.board]), method: methodOf(boards[first.board]), shots: String(first.shots),
      system: "", regime: "", start: "", size: "", badge: "", training: "", q: "", old: "", sort: "", order: "", chart: "shots", of: "",
    });
    for (const select of document.querySelectorAll("#filters select, .chart-choice select"))
      select.addEventListener("change", () => state.set({ [select.id]: select.value }));
    control("q").addEventListener("input", () => state.set({ q: control("q").value }, { step: false }));
  };

  /* What the choice leaves. */
  const view = () => {
    const chosen = state.get();
    const board = boards.findIndex((each) => trackOf(each) === chosen.track && methodOf(each) === chosen.method);
    const inBoard = rows.filter((row) => row.board === board);
    const scored = new Set(inBoard.flatMap((row) => [...row.scores.keys()]));
    const wanted = tasks.map((_, place) => place).filter((place) => scored.has(place)
      && (!chosen.system || tasks[place].system === chosen.system) && (!chosen.regime || tasks[place].regime === chosen.regime));
    const old = wanted.filter((place) => !isCurrent(tasks[place]));
    const columns = chosen.old ? wanted : wanted.filter((place) => isCurrent(tasks[place]));
    const shown = (row) => columns.map((place) => score(row, place)).filter(Boolean);
    const words = chosen.q.toLowerCase().split(/\s+/).filter(Boolean);
    const size = sizes[chosen.size]?.[1];
    const training = trainings[chosen.training]?.[1];
    const reasons = [
      ["other shots", chosen.shots !== "" && ((row) => String(row.shots) === chosen.shots)],
      ["start", chosen.start && ((row) => row.start === chosen.start)],
      ["size", size && ((row) => size(row.model.parameters))],
      ["name", words.length && ((row) => words.every((word) => row.model.words.includes(word)))],
      ["no score on these tasks", (row) => columns.some((place) => row.scores.has(place))],
      ["badge", chosen.badge && ((row) => shown(row).every((each) => each.badge >= Number(chosen.badge)))],
      ["training data", training && ((row) => training(shown(row), row))],
    ].filter(([, test]) => test);
    /* The first reason why a row is hidden, undefined if it is shown. */
    const hiddenBy = (row, without = "") => reasons.find(([reason, test]) => reason !== without && !test(row))?.[0];
    return { chosen, board, inBoard, columns, old, hiddenBy };
  };

  const hiddenWords = (hidden, total) => {
    const counts = new Map();
    for (const reason of hidden) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    const words = [...counts].sort((a, b) => b[1] - a[1]).map(([reason, amount]) => `${amount} by ${reason}`).join(", ");
    return hidden.length ? `${total - hidden.length} of ${plural(total, "row")} shown. Hidden: ${words}.` : `${plural(total, "row")}.`;
  };

  const badge = (place) => make("span", { class: `badge level-${place}`, title: badges[place] },
    make("span", { "aria-hidden": "true", text: ["○", "◔", "◐", "●"][place] }), spoken(badges[place]));

  const modelCell = (row, extra) => {
    const { model } = row;
    const facts = [model.organisation, extra, model.short, model.method_fingerprint && `method ${model.method_fingerprint.slice(0, 12)}`];
    const name = model.page
      ? make("a", { href: encodeURI(model.page), text: model.name, title: model.name }) : make("span", { text: model.name, title: model.name });
    const open = make("button", { type: "button", class: "open", title: "scores and provenance", on: { click: () => pdefm.openRow(row) } },
      make("span", { "aria-hidden": "true", text: "⋯" }), spoken(`Details of ${model.name}, ${startOf(row)}, ${row.shots} shots`));
    const words = facts.filter(Boolean).join(" · ");
    return make("div", { class: "name" }, name, make("small", { text: words, title: words }), open);
  };

  const interval = (low, high) => `${number(low)}–${number(high)}`;
  /* Where there is little room: .0123–.0145 */
  const tight = (low, high) => [low, high].map((value) => number(value, value < 1e-3 ? 2 : 3).replace(/^0\./, ".")).join("–");
  const useless = "an error of 1 or more is as bad as predicting zero";

  const errorCell = (error, low, high, written = interval) => {
    const cell = make("td", {}, number(error), make("small", { text: written(low, high) }));
    if (error >= 1) {
      cell.classList.add("useless");
      cell.title = useless;
      cell.append(spoken("as bad as predicting zero"));
    }
    return cell;
  };

  const scoreCell = (found) => {
    if (!found) return make("td", { class: "missing" }, make("span", { "aria-hidden": "true", text: "–" }), spoken("not scored"));
    const cell = errorCell(found.mean, found.low, found.high, tight);
    const marks = [];
    if (found.remark) marks.push(make("abbr", { title: data.remarks[found.remark], text: "†" }));
    if (found.one_seed) marks.push(make("abbr", { title: "one seed: the interval is for new test samples alone", text: "*" }));
    cell.firstChild.after(...marks);
    if (found.best) cell.classList.add("best");
    cell.classList.add(found.knowledge);
    cell.append(spoken(found.knowledge === "unknown" ? "training not stated" : `regime ${found.knowledge} in training`));
    cell.append(spoken(badges[found.badge]), found.best ? spoken("significantly best") : "");
    return cell;
  };

  /* Two directions of a column, of which the second is written with a minus. */
  const current = {};
  const direction = (name, key) => {
    const now = current[name];
    state.set({ [name]: now.key === key && now.direction > 0 ? `-${key}` : key });
  };
  const inOrder = (name, columns, found, otherwise) => {
    const wanted = state.get()[name];
    const key = wanted.replace(/^-/, "");
    const known = columns.find((column) => column.key === key && column.value);
    current[name] = known ? { key, direction: wanted.startsWith("-") ? -1 : 1 } : { key: otherwise, direction: 1 };
    return { sort: current[name], rows: sorted(found, columns.find((column) => column.key === current[name].key), current[name].direction) };
  };

  /* Ranking over all tasks, or a system's. */
  const ranked = pdefm.table({ label: "Ranking", height: 46, onSort: (key) => direction("order", key) });
  control("ranking").append(ranked.element);

  const showRanking = ({ chosen, board, hiddenBy }) => {
    const scope = chosen.system || "overall";
    const title = scope === "overall" ? "Overall" : `Overall on ${systems.find(([name]) => name === scope)?.[1] ?? scope}`;
    const { shots } = chosen;
    const ranking = rankingOf(board, shots, scope);
    control("ranking-title").textContent = shots === "" ? title : `${title}, ${shots === "0" ? "zero-shot" : shotsWords(shots)}`;
    const note = control("ranking-note");
    const lacking = control("lacking");
    lacking.hidden = !ranking?.unranked.row.length;
    if (!ranking) {
      note.textContent = shots === "" ? "A ranking is of one number of shots: choose one."
        : board < 0 ? "This track has no results of this method." : `Nothing is scored here with ${shotsWords(shots)}.`;
      ranked.show({ columns: [], rows: [] });
      return;
    }
    const parts = scope === "overall" ? systems.map(([name, words]) => [name, words, rankingOf(board, shots, name)]) : [];
    const errors = new Map(parts.map(([name, , found]) => [name, new Map(found?.standings.row.map((row, i) => [row, at(found.standings, i)]))]));
    const standings = ranking.standings.row.map((place, i) => ({ ...at(ranking.standings, i), place, row: rows[place] }));
    const columns = [
      {
        key: "rank", title: "Rank", kind: "number rank", width: "rank", value: (each) => each.rank,
        cell: (each) => make("td", {}, each.rank === each.last_rank ? String(each.rank) : `${each.rank}–${each.last_rank}`,
          each.tied ? spoken("tied") : ""),
      },
      { key: "model", title: "Model", kind: "model", width: "model", head: true, value: (each) => each.row.model.name, cell: (each) => modelCell(each.row, startOf(each.row)) },
      { key: "error", title: "Error", kind: "number", width: "error", value: (each) => each.error, cell: (each) => errorCell(each.error, each.low, each.high) },
      { key: "digits", title: "Digits", kind: "number", width: "digits", value: (each) => each.digits, cell: (each) => make("td", { text: each.digits === null ? "–" : each.digits.toFixed(2) }) },
      ...parts.map(([name, words]) => ({
        key: name, title: words, kind: "number", width: "error", value: (each) => errors.get(name).get(each.place)?.error,
        cell: (each) => {
          const found = errors.get(name).get(each.place);
          return found ? errorCell(found.error, found.low, found.high) : scoreCell(null);
        },
      })),
      { key: "badge", title: "Checked", kind: "badges", width: "badge", value: (each) => -each.badge, cell: (each) => make("td", {}, badge(each.badge), make("small", { text: ["self-reported", "scores reproduced", "reproduced", "private split"][each.badge] })) },
      {
        key: "regimes", title: "Regimes", kind: "regimes", width: "badge", value: (each) => each.knowledge.unseen ?? 0,
        cell: (each) => make("td", {}, ...Object.entries(each.knowledge).map(([label, amount]) => make("small", { text: `${amount} ${label}` }))),
      },
      { key: "size", title: "Size", kind: "number", width: "size", value: (each) => each.row.model.parameters, cell: (each) => make("td", { text: count(each.row.model.parameters) }) },
    ];
    const hidden = standings.map((each) => hiddenBy(each.row, "no score on these tasks"));
    const left = standings.filter((_, i) => !hidden[i]);
    const gone = hidden.filter(Boolean);
    const words = standings.length ? hiddenWords(gone, standings.length) : `No model has all ${ranking.tasks.length} tasks here yet.`;
    note.textContent = gone.length && left.length ? `${words} Ranks are among all ${standings.length}.` : words;
    ranked.show({ columns, ...inOrder("order", columns, left, "rank") });
    showLacking(ranking);
  };

  const showLacking = (ranking) => {
    const { unranked } = ranking;
    control("lacking-title").textContent = `Not ranked: ${plural(unranked.row.length, "row")} that ${unranked.row.length === 1 ? "lacks" : "lack"} tasks`;
    control("lacking").ontoggle = () => {
      if (!control("lacking").open) return;
      const found = unranked.row.map((place, i) => ({ row: rows[place], missing: unranked.missing[i] }));
      const words = ({ missing }) => missing.map(([task, reason]) => {
        const why = data.reasons[reason];
        return why === "not scored" ? data.names[task] : `${data.names[task]} (${why})`;
      }).join(", ");
      missingTable.show({
        columns: [
          { key: "model", title: "Model", kind: "model", width: "model", head: true, cell: (each) => modelCell(each.row, startOf(each.row)) },
          { key: "missing", title: "Missing", kind: "number", width: "digits", cell: (each) => make("td", { text: String(each.missing.length) }) },
          { key: "tasks", title: "Tasks", kind: "words", width: "words", cell: (each) => make("td", {}, make("div", { class: "clamp", text: words(each), title: words(each) })) },
        ],
        rows: found,
      });
    };
    control("lacking").ontoggle();
  };
  const missingTable = pdefm.table({ label: "Models that lack tasks", height: 46 });
  control("lacking").append(missingTable.element);

  /* Errors by task. */
  const byTask = pdefm.table({ label: "Errors by task", height: 46, onSort: (key) => direction("sort", key) });
  control("by-task").append(byTask.element);

  const showTasks = ({ chosen, inBoard, columns: places, old, hiddenBy }) => {
    const columns = [
      {
        key: "model", title: "Model", kind: "model", width: "model", head: true, value: (row) => row.model.name,
        cell: (row) => modelCell(row, chosen.shots === "" ? `${startOf(row)}, ${row.shots} shots` : startOf(row)),
      },
      ...places.map((place, i) => {
        const task = tasks[place];
        const previous = tasks[places[i - 1]];
        return {
          key: isCurrent(task) ? task.task : `${task.task}@${task.version}`, title: task.regime, label: `${task.task}, ${task.parameter}`,
          note: isCurrent(task) ? task.parameter : `${task.version_state === "superseded" ? "old" : "unknown"} v${task.version}`, group: task.system_title, kind: "number", width: "score",
          hint: `${task.task}, dataset version ${task.version}.x${versions[task.version_state]}`,
          first: task.system !== previous?.system, value: (row) => score(row, place)?.mean, cell: (row) => scoreCell(score(row, place)),
        };
      }),
      { key: "size", title: "Size", kind: "number after", width: "size", value: (row) => row.model.parameters, cell: (row) => make("td", { text: count(row.model.parameters) }) },
    ];
    const hidden = inBoard.map((row) => hiddenBy(row));
    const left = inBoard.filter((_, i) => !hidden[i]);
    control("count").textContent = hiddenWords(hidden.filter(Boolean), inBoard.length);
    control("reset").hidden = left.length === inBoard.length;
    control("older").hidden = !old.length;
    control("older").textContent = chosen.old ? "Hide other dataset versions" : `Show ${plural(old.length, "column")} of other dataset versions`;
    const otherwise = columns[1]?.key ?? "model";
    byTask.element.style.setProperty("--scores", String(places.length));
    byTask.show({ columns, ...inOrder("sort", columns, left, otherwise) });
  };

  control("reset").addEventListener("click", () => state.set({ shots: "", system: "", regime: "", start: "", size: "", badge: "", training: "", q: "" }));
  control("older").addEventListener("click", () => state.set({ old: state.get().old ? "" : "yes" }));

  const refresh = (changed) => {
    const chosen = state.get();
    for (const field of document.querySelectorAll("#filters select, #filters input, .chart-choice select"))
      if (field !== document.activeElement || field.value !== chosen[field.id]) field.value = chosen[field.id];
    const found = view();
    if (!changed || !changed.every((name) => ["chart", "of"].includes(name))) {
      showRanking(found);
      showTasks(found);
    }
    pdefm.showChart({ ...found, rankingOf, systems });
  };

  start();
  state.listen((_, changed) => refresh(changed));
  control("filters").open = innerWidth > 640;
  document.documentElement.classList.add("script");
  pdefm.detailsAddress = detailsAddress;
  refresh();
})();
