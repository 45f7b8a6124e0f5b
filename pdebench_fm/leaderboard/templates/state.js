/* What is chosen on the page. It is in the address, so that a link shows the same and the back button works. */
"use strict";
(() => {
  const listeners = [];
  let defaults = {};
  let state = {};

  /* A part of the address without "=" is a place on the page, and says nothing of what is chosen. */
  const read = () => {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return;
    state = { ...defaults };
    for (const [name, value] of new URLSearchParams(hash)) if (Object.hasOwn(defaults, name)) state[name] = value;
  };

  const address = () => {
    const changed = Object.entries(state).filter(([name, value]) => value !== defaults[name]);
    return `#${new URLSearchParams(changed)}`;
  };

  const tell = (changed) => listeners.forEach((listener) => listener(state, changed));

  pdefm.state = {
    start(first) {
      defaults = first;
      state = { ...defaults };
      read();
      addEventListener("hashchange", () => {
        if (location.hash === address()) return;
        read();
        tell(null);
      });
    },
    get: () => state,
    isDefault: (name) => state[name] === defaults[name],
    defaultOf: (name) => defaults[name],
    listen: (listener) => listeners.push(listener),
    /* Typing makes no step of its own for the back button. */
    set(changes, { step = true } = {}) {
      state = { ...state, ...changes };
      history[step ? "pushState" : "replaceState"](null, "", address());
      tell(Object.keys(changes));
    },
  };
})();
