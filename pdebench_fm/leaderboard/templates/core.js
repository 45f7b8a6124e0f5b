/* What all scripts of the site share: the data, elements that hold text only, and how numbers are written. */
"use strict";
window.pdefm ??= {};
(() => {
  const { data } = pdefm;

  /* An element with text, attributes and children; nothing from the data is ever read as HTML. */
  const make = (tag, options = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "text") element.textContent = value;
      else if (name === "class") element.className = value;
      else if (name === "on") for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== undefined && child !== null && child !== ""));
    return element;
  };

  /* Words for screen readers alone. */
  const spoken = (text) => make("span", { class: "spoken", text });

  /* Three significant digits, trailing zeros kept: 0.0800, 4.21, 1234, 8.30e-5. */
  const number = (value, digits = 3) => {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const exponent = Number(power);
    return exponent >= -4 && exponent < 6 ? value.toFixed(Math.max(digits - 1 - exponent, 0)) : `${mantissa}e${exponent}`;
  };

  const count = (value) => {
    if (value === null || value === undefined) return "–";
    for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]])
      if (value >= size * 0.9995) return `${Number((value / size).toPrecision(3))}${letter}`;
    return String(value);
  };

  const plural = (amount, word) => `${amount} ${word}${amount === 1 ? "" : "s"}`;

  /* A number of shots as the address has it, which may be any text. */
  const shotsWords = (shots) => (shots === "1" ? "1 shot" : `${shots} shots`);

  /* A row of a table of columns as an object. */
  const at = (columns, place) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[place]]));
  const all = (columns) => Array.from({ length: (Object.values(columns)[0] ?? []).length }, (_, i) => at(columns, i));

  const boards = all(data.boards);
  const tasks = all(data.tasks);
  /* Whether a column is of the newest dataset version that somebody was scored on by standard rows. */
  const isCurrent = (task) => task.version_state === "current";
  const models = all(data.models);
  for (const model of models) {
    model.words = `${model.organisation}/${model.name}`.toLowerCase();
    model.short = /^[0-9a-f]{40}$/.test(model.revision ?? "") ? model.revision.slice(0, 12) : model.revision;
  }
  const badges = ["self-reported", "scores reproduced, adaptation self-reported", "reproduced", "reproduced on a private split"];

  /* Rows of all boards, each with its scores by task. */
  const rows = all(data.rows).map((row, place) => ({ ...row, place, model: models[row.model], scores: new Map() }));
  const { scores } = data;
  for (let i = 0; i < scores.row.length; i += 1) rows[scores.row[i]].scores.set(scores.task[i], i);

  /* How a row's model started; one without parameters was never trained. */
  const startOf = (row) => (row.start === "scratch" ? "from scratch" : row.model.parameters ? "pretrained" : "as it is");

  const score = (row, task) => {
    const place = row.scores.get(task);
    return place === undefined ? null : { ...at(scores, place), place };
  };

  /* The parts that are loaded when they are first wanted; a page on disk may load scripts alone. */
  let later;
  const details = (address) => {
    later ??= new Promise((resolve, reject) => {
      document.head.append(make("script", { src: address, on: { load: () => resolve(pdefm.details), error: reject } }));
    });
    return later;
  };

  Object.assign(pdefm, { make, spoken, number, count, plural, shotsWords, at, all, boards, tasks, models, rows, badges, isCurrent, startOf, score, loadDetails: details });
})();
