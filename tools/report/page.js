// The playground. Data is only ever inserted as text. models.js has the models themselves.

const { unpack, loadModels, encode, next, score, drawNames } = globalThis.charlm;
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const MAX_BARS = 40; // symbols that are shown at once
const MAX_SURPRISE = 7; // nats; letters beyond have the same colour
const colorOf = (name) => `var(--model-${data.colors[name]})`;
const MARKS = { train: "in train", dev: "in dev only", new: "new" };

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

/** Show what each model says comes after a beginning: a row of bars per model. */
function showNext(models, numbers) {
  const tables = models.map((model) => next(model.logits, numbers, data).map(Math.exp));
  const most = (symbol) => Math.max(...tables.map((P) => P[symbol]));
  const symbols = [...data.symbols.keys()].filter((n) => n !== data.start || n === data.end);
  const shown = symbols.sort((a, b) => most(b) - most(a)).slice(0, MAX_BARS).sort((a, b) => a - b);
  const highest = Math.max(...shown.map(most));
  const rows = models.map(({ label, name }, row) => {
    const say = (symbol) => `${data.labels[symbol]} ${percent(tables[row][symbol])}`;
    const bars = shown.map((symbol) => {
      const height = `${(100 * tables[row][symbol]) / highest}%`;
      const title = `${label}: ${say(symbol)}`;
      return element("span", { class: "bar", title, "data-symbol": symbol, "--height": height });
    });
    const ranked = [...shown].sort((a, b) => tables[row][b] - tables[row][a]).slice(0, 5);
    const head = element("p", {}, element("code", {}, label), ` ${ranked.map(say).join(", ")}`);
    const chart = element("div", { class: "bars", "aria-hidden": true }, ...bars);
    return element("div", { class: "row", "--color": colorOf(name) }, head, chart);
  });
  const labels = shown.map((n) => element("span", { "data-symbol": n }, data.labels[n]));
  byId("next").style.setProperty("--columns", shown.length);
  const axis = element("div", { class: "bars labels", "aria-hidden": true }, ...labels);
  byId("next").replaceChildren(...rows, axis);
}

/** Show how probable each letter of a name is under each model. */
function showScore(models, numbers) {
  const cell = (kind, ...children) => element("td", { class: kind }, ...children);
  const rows = models.map(({ label, name, logits, real }) => {
    const logs = score(logits, numbers, data);
    const tiles = logs.map((log, position) => {
      const surprise = `${100 * Math.min(1, -log / MAX_SURPRISE)}%`;
      const letter = element("b", {}, data.labels[numbers[position] ?? data.end]);
      const share = element("small", {}, percent(Math.exp(log)));
      return element("span", { class: "tile", "--surprise": surprise }, letter, share);
    });
    const sum = logs.reduce((total, log) => total + log, 0);
    const below = real.filter((nll) => nll > -sum / logs.length).length / real.length;
    const dot = element("i", { class: "dot", "--color": colorOf(name) });
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, dot, element("code", {}, label)),
      cell("tiles", ...tiles),
      cell("number", sum.toFixed(2).replace("-", "−").replace("Infinity", "∞")),
      cell("number", Math.exp(sum).toExponential(1)),
      cell("number", real.length ? `${(100 * below).toFixed(0)} %` : "–"),
    );
  });
  byId("score").replaceChildren(...rows);
}

/** Show drawn names, each marked by where it occurs; none if a setting is invalid. */
function showDrawn(models, words, typed) {
  const { temperature } = byId("draw").elements;
  temperature.setCustomValidity(Number(temperature.value) > 0 ? "" : "must be above 0");
  const invalid = byId("draw").querySelector(":invalid");
  const label = invalid?.labels[0].textContent.trim();
  byId("setting-error").textContent = invalid ? `${label}: ${invalid.validationMessage}` : "";
  if (invalid) return byId("drawn").replaceChildren();
  const values = Object.fromEntries(new FormData(byId("draw")));
  const { logits } = models.find(({ label }) => label === values.model);
  const prefix = values.begin ? typed : [];
  const numbers = ["seed", "count", "temperature"].map((key) => [key, Number(values[key])]);
  const settings = { ...Object.fromEntries(numbers), maxLength: data.maxLength, prefix };
  const names = drawNames(logits, data, settings);
  const items = names.map((name) => {
    const mark = words.train?.has(name) ? "train" : words.dev?.has(name) ? "dev" : "new";
    const known = words.train ? { class: `mark ${mark}`, title: MARKS[mark] } : {};
    return element("li", known, element("bdi", {}, name || "(empty)"));
  });
  byId("drawn").replaceChildren(...items);
}

/** Let people type, and draw. */
async function startPlayground() {
  const [models, words] = [await loadModels(data), await unpack(data.words)];
  const read = (bytes) => new Set(new TextDecoder().decode(bytes).split("\n"));
  for (const split of Object.keys(words)) words[split] = read(words[split]);
  const [input, form] = [byId("text"), byId("draw")];
  let typed = [];
  const update = () => {
    const { unknown, numbers } = encode(input.value, data);
    const lower = input.value.toLowerCase();
    const hint = encode(lower, data).unknown.length ? "" : `; did you mean “${lower}”?`;
    const message = `No name contains “${unknown.join("”, “")}”${hint}`;
    byId("said").textContent = unknown.length ? message : "";
    input.setAttribute("aria-invalid", unknown.length > 0); // hides the results of the text before
    if (unknown.length) return;
    typed = numbers;
    showNext(models, typed);
    showScore(models, typed);
    if (form.elements.begin.checked) showDrawn(models, words, typed);
  };
  input.value = data.example;
  input.addEventListener("input", update);
  byId("next").addEventListener("click", ({ target }) => {
    const { symbol } = target.dataset;
    if (symbol === undefined || Number(symbol) === data.end) return;
    input.value += data.symbols[symbol];
    update();
  });
  form.addEventListener("input", () => showDrawn(models, words, typed));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.elements.seed.value = Number(form.elements.seed.value) + 1;
    showDrawn(models, words, typed);
  });
  update();
  showDrawn(models, words, typed);
  byId("playground").dataset.ready = "yes";
}

if (data.models.length) startPlayground();
