// What the playground shows of all its models: what comes next, and how probable each letter is.
// Data is only ever inserted as text.

const { next, score, temper } = globalThis.charlm;
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const MAX_BARS = 40; // symbols that are shown at once
const MAX_NAMED = 40; // symbols that are named as left out
const MIN_MARK = 0.02; // of the chart's height; lower marks would be on the axis
const BAR_GAP = 3; // pixels, with the space beside a label
const MAX_SURPRISE = 7; // nats; letters beyond have the same colour
const colorOf = (name) => `var(--model-${data.colors[name] ?? 0})`;

/** Return a new element; strings among the children become text, `--x` among the rest style. */
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("--")) made.style.setProperty(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Return a probability in percent. */
function percent(p) {
  const value = 100 * p;
  return `${value >= 9.95 || !p ? value.toFixed(0) : value.toPrecision(value < 0.1 ? 1 : 2)} %`;
}

/** Return a text that is not broken into lines. */
function joined(text) {
  return text.replaceAll(" ", "\u00a0");
}

/** Return a dot in the colour of a model. */
function dotOf({ name }) {
  return element("i", { class: "dot", "--color": colorOf(name) });
}

/** Return a model's name with its dot. */
function nameOf(model) {
  return element("span", { class: "model" }, dotOf(model), element("code", {}, model.label));
}

/** Return for how many symbols there is room side by side; long labels are upright. */
function roomForBars() {
  const { fontSize, fontFamily } = getComputedStyle(byId("axis"));
  const ink = document.createElement("canvas").getContext("2d");
  ink.font = `${fontSize} ${fontFamily}`;
  const short = data.labels.filter((label) => [...label].length < 3);
  const widest = Math.max(...short.map((label) => ink.measureText(label).width));
  return Math.min(MAX_BARS, Math.floor(byId("axis").clientWidth / (widest + BAR_GAP)) || MAX_BARS);
}

/** Show what each model says comes after a beginning: a row of bars per model. */
function showNext(models, numbers, settings, found) {
  const logs = models.map((model) => next(model.logits, numbers, data));
  const plain = logs.map((log) => log.map(Math.exp));
  const isPlain = settings.temperature === 1 && !settings.topK;
  const tables = isPlain ? plain : logs.map((log) => temper(log, settings, data));
  const most = (symbol) => Math.max(...plain.map((P) => P[symbol]));
  const sum = (symbol) => plain.reduce((total, P) => total + P[symbol], 0);
  const symbols = [...data.symbols.keys()].filter((n) => n !== data.start || n === data.end);
  const isFound = (symbol) => found.includes(symbol);
  const ranked = symbols.sort((a, b) => isFound(b) - isFound(a) || sum(b) - sum(a));
  const room = roomForBars();
  const shown = ranked.slice(0, room).sort((a, b) => a - b);
  const highest = Math.max(...shown.flatMap((n) => [most(n), ...tables.map((P) => P[n])]));
  const rows = models.map((model, row) => {
    const [P, before] = [tables[row], plain[row]];
    const say = (symbol) => `${data.labels[symbol]} ${percent(P[symbol])}`;
    const bars = shown.map((symbol) => {
      const [height, mark] = [P, before].map((values) => `${(100 * values[symbol]) / highest}%`);
      const title = `${model.label}: ${say(symbol)}`;
      const kind = isPlain || before[symbol] < MIN_MARK * highest ? "bar" : "bar tempered";
      const place = { "--height": height, "--mark": mark };
      return element("span", { class: kind, title, "data-symbol": symbol, ...place });
    });
    const top = [...shown].sort((a, b) => P[b] - P[a]).slice(0, 5).filter((n) => P[n]);
    const head = element(
      "p",
      {},
      nameOf(model),
      " ",
      top.map(say).map(joined).join(", "),
    );
    const chart = element("div", { class: "bars", "aria-hidden": true }, ...bars);
    return element("div", { class: "row", "--color": colorOf(model.name) }, head, chart);
  });
  const labels = shown.map((symbol) => {
    const kind = [...data.labels[symbol]].length < 3 ? "short" : "long";
    return element("span", { class: kind, "data-symbol": symbol }, data.labels[symbol]);
  });
  byId("next").style.setProperty("--columns", shown.length);
  byId("rows").replaceChildren(...rows);
  byId("axis").replaceChildren(...labels);
  byId("tempered").hidden = isPlain;
  showRest(ranked.slice(room), most);
}

/** Say which symbols have no bar; of many, the most probable ones, which come first. */
function showRest(symbols, most) {
  byId("rest").hidden = !symbols.length && !byId("find").value;
  const named = symbols.slice(0, MAX_NAMED).sort((a, b) => a - b).map((n) => data.labels[n]);
  const noun = symbols.length === 1 ? "symbol" : "symbols";
  const limit = `at most ${percent(Math.max(...symbols.map(most)))}`;
  const all = `${named.join(" ")}${symbols.length > MAX_NAMED ? " …" : ""}`;
  byId("rest-said").textContent = symbols.length
    ? `and ${symbols.length} more ${noun}, ${limit}: ${all}`
    : "";
}

/** Show how probable each letter of a name is under each model. */
function showScore(models, numbers) {
  const cell = (kind, ...children) => element("td", { class: kind }, ...children);
  const rows = models.map((model) => {
    const logs = score(model.logits, numbers, data);
    const tiles = logs.map((log, position) => {
      const surprise = `${100 * Math.min(1, -log / MAX_SURPRISE)}%`;
      const letter = element("b", {}, data.labels[numbers[position] ?? data.end]);
      const share = element("small", {}, percent(Math.exp(log)));
      return element("span", { class: "tile", "--surprise": surprise }, letter, share);
    });
    const sum = logs.reduce((total, log) => total + log, 0);
    const { real } = model;
    const below = real.filter((nll) => nll > -sum / logs.length).length / real.length;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, nameOf(model)),
      cell("tiles", ...tiles),
      cell("number", sum.toFixed(2).replace("-", "−").replace("Infinity", "∞")),
      cell("number", Math.exp(sum).toExponential(1)),
      cell("number", real.length ? `${(100 * below).toFixed(0)} %` : "–"),
    );
  });
  byId("score").replaceChildren(...rows);
}

globalThis.charlm.show = {
  byId,
  data,
  element,
  percent,
  dotOf,
  nameOf,
  colorOf,
  showNext,
  showScore,
};
