/* What a row holds when it is opened: every metric, and where each score comes from. */
"use strict";
(() => {
  const { make, number, tasks, badges, startOf, score, data } = pdefm;
  const titles = {
    relative_l2_median: "median", relative_l2_p95: "95th pct.", relative_h1_mean: "H¹", band_low_mean: "low band",
    band_mid_mean: "mid band", band_high_mean: "high band", residual_mean: "residual", max_error_mean: "max error",
  };

  const pairs = (facts) => {
    const list = make("dl", { class: "pairs" });
    for (const [name, value] of facts) list.append(make("dt", { text: name }), make("dd", { text: value }));
    return list;
  };

  const factsOf = (strings, places) => Array.from({ length: places.length / 2 }, (_, i) => [strings[places[2 * i]], strings[places[2 * i + 1]]]);

  const scoreTable = (scores, metrics) => {
    const table = make("table");
    const names = Object.keys(metrics);
    const heads = ["Task", "mean", "± sd", "95 % interval", "seeds", ...names.map((name) => titles[name] ?? name), "checked", "private split", ""];
    table.createTHead().insertRow().append(...heads.map((text, i) => make("th", { scope: "col", class: i ? "number" : "", text })));
    const body = table.createTBody();
    for (const each of scores) {
      const row = body.insertRow();
      row.append(make("th", { scope: "row", text: tasks[each.task].task }));
      const secret = each.private === null ? "–" : `${number(each.private, 4)}${each.agreement === "agrees" ? "" : ` (${each.agreement})`}`;
      const values = [
        number(each.mean, 5), number(each.deviation, 2), `${number(each.low, 4)} – ${number(each.high, 4)}${each.one_seed ? " *" : ""}`,
        each.seeds.join(", "), ...names.map((name) => number(metrics[name][each.place])), badges[each.badge], secret,
      ];
      row.append(...values.map((text) => make("td", { class: "number", text })));
      row.append(make("td", { text: each.remark ? `† ${data.remarks[each.remark]}` : "" }));
    }
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores by task" }, table);
  };

  /* Facts that all results of the row share are said once, the others in one card per result. */
  const provenance = (results) => {
    const has = (facts, [name, value]) => facts.some((fact) => fact[0] === name && fact[1] === value);
    const shared = results[0].filter((fact) => results.every((facts) => has(facts, fact)));
    const own = results.map((facts) => facts.filter((fact) => !has(shared, fact))).filter((facts) => facts.length);
    return [pairs(shared), make("div", { class: "cards" }, ...own.map(pairs))];
  };

  pdefm.openRow = async (row) => {
    const dialog = make("dialog", { "aria-label": `${row.model.name}, ${row.start}, ${row.shots} shots` });
    const title = make("h2", { text: `${row.model.name}: ${startOf(row)}, ${row.shots} shots` });
    const close = make("button", { type: "button", class: "close", text: "Close", on: { click: () => dialog.close() } });
    dialog.append(make("div", { class: "bar" }, title, close));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    const { metrics, facts } = await pdefm.loadDetails(pdefm.detailsAddress);
    const scores = [...row.scores.keys()].sort((a, b) => a - b).map((task) => score(row, task));
    dialog.append(
      make("h3", { text: "Scores, averaged over seeds" }), scoreTable(scores, metrics),
      make("h3", { text: "Model" }), pairs(factsOf(facts.strings, facts.models[data.rows.model[row.place]])),
      make("h3", { text: "Provenance" }), ...provenance(scores.map((each) => factsOf(facts.strings, facts.results[each.result]))),
    );
  };
})();
