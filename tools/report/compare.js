// Two models compared: letter by letter, by what comes next, and by real names.

const { next, score } = globalThis.charlm;
const { byId, data, element, percent, dotOf, nameOf, colorOf } = globalThis.charlm.show;
const MAX_ROWS = 8; // symbols that may come next
const EVEN = 0.005; // nats or, of a ratio, 1 ± this: no difference that is worth a colour
const nats = (loss) => (Number.isFinite(loss) ? loss.toFixed(2) : "∞");

/** Return a difference of losses with its sign. */
function signed(difference) {
  if (Number.isNaN(difference)) return "–"; // of two infinite losses
  const sign = Math.abs(difference) < EVEN ? "" : difference > 0 ? "+" : "−";
  return sign + nats(Math.abs(difference));
}

/** Return the colour of the better of two models, that of text if neither is. */
function winner([first, second], difference) {
  if (!(Math.abs(difference) >= EVEN)) return "inherit";
  return colorOf((difference > 0 ? first : second).name);
}

/** Show the loss of each letter of a name under two models as bars, and say which is better. */
function showLetters(pair, numbers) {
  const losses = pair.map(({ logits }) => score(logits, numbers, data).map((log) => -log));
  const labels = [...numbers, data.end].map((symbol) => data.labels[symbol]);
  const highest = Math.max(1, ...losses.flat().filter(Number.isFinite));
  const differences = labels.map((_, n) => losses[1][n] - losses[0][n]);
  const totals = losses.map((list) => list.reduce((sum, loss) => sum + loss, 0));
  const column = (label, both, difference, ...bars) => {
    const lines = both.map((loss, side) => element("span", {}, dotOf(pair[side]), nats(loss)));
    const color = winner(pair, difference);
    const sum = element("b", { class: "difference", "--color": color }, signed(difference));
    return element("li", {}, ...bars, element("strong", {}, label), ...lines, sum);
  };
  const columns = labels.map((label, n) => {
    const bars = pair.map(({ name }, side) => {
      const height = `${(100 * Math.min(highest, losses[side][n])) / highest}%`;
      return element("i", { "--color": colorOf(name), "--height": height });
    });
    const both = element("span", { class: "both", "aria-hidden": true }, ...bars);
    return column(label, losses.map((list) => list[n]), differences[n], both);
  });
  const sum = column("sum", totals, totals[1] - totals[0]);
  byId("letters").replaceChildren(...columns, sum);
  byId("verdict").replaceChildren(...verdict(pair, totals, differences, labels));
}

/** Say which of two models predicts a name better, and by which letter most. */
function verdict(pair, totals, differences, labels) {
  const all = totals[1] - totals[0];
  if (pair[0] === pair[1]) return ["Pick two models: these are the same."];
  if (!(Math.abs(all) >= EVEN)) return ["Both predict this name equally well."];
  const [better, worse] = all > 0 ? pair : [...pair].reverse();
  const gains = differences.map((difference) => difference * Math.sign(all));
  const most = Math.max(...gains.filter((gain) => !Number.isNaN(gain)));
  const letter = labels[gains.indexOf(most)];
  const by = ` predicts this name better by ${nats(Math.abs(all))} nats than `;
  return [nameOf(better), by, nameOf(worse), `; most at “${letter}”: ${nats(most)}.`];
}

/** Show what comes next under two models, mirrored, with the ratio. */
function showMirrored(pair, numbers) {
  const tables = pair.map(({ logits }) => next(logits, numbers, data).map(Math.exp));
  const most = (symbol) => Math.max(...tables.map((P) => P[symbol]));
  const ranked = [...data.symbols.keys()].sort((a, b) => most(b) - most(a)).slice(0, MAX_ROWS);
  const bar = (side, symbol) => {
    const p = tables[side][symbol];
    const width = `${(100 * p) / most(ranked[0])}%`;
    const fill = element("i", { "--color": colorOf(pair[side].name), "--width": width });
    return element("td", { class: side ? "right" : "left" }, fill, element("span", {}, percent(p)));
  };
  const rows = ranked.map((symbol) => {
    const [p, q] = tables.map((P) => P[symbol]);
    const factor = Math.max(p, q) / Math.min(p, q);
    const text = factor < 9.95
      ? factor.toFixed(1)
      : Number.isFinite(factor)
      ? factor.toFixed(0)
      : "∞";
    const color = winner(pair, Math.log(p / q));
    const ratio = element("td", { class: "difference", "--color": color }, `${text} ×`);
    const label = element("th", { scope: "row" }, data.labels[symbol]);
    return element("tr", {}, bar(0, symbol), label, bar(1, symbol), ratio);
  });
  const [left, right] = pair.map((model, side) =>
    element("th", { scope: "col", class: side ? "right" : "left" }, nameOf(model))
  );
  const symbol = element("th", { scope: "col" }, element("span", { class: "hidden" }, "symbol"));
  const head = element("tr", {}, left, symbol, right, element("th", { scope: "col" }, "ratio"));
  byId("mirrored").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

/** Show the dev names that each of two models predicts better than the other by most. */
function showExtremes(pair) {
  const labels = pair.map(({ label }) => label);
  const found = data.comparisons.find(({ models }) =>
    labels[0] !== labels[1] && labels.every((label) => models.includes(label))
  );
  byId("extremes").replaceChildren();
  if (!found) {
    const isMissing = labels[0] !== labels[1];
    byId("extremes-said").textContent = isMissing ? "No losses of dev names are here." : "";
    return;
  }
  const order = labels.map((label) => found.models.indexOf(label));
  const [first, second] = order.map((side) => found.better[side].toLocaleString("en"));
  const fitted = pair.filter(({ name }) => data.fitted.includes(name)).map(({ label }) => label);
  byId("extremes-said").textContent =
    `Of ${found.total.toLocaleString("en")} names of dev that are not in train, ` +
    `${labels[0]} predicts ${first} better, ${labels[1]} ${second}.` +
    (fitted.length ? ` ${fitted.join(" and ")}: fitted on dev.` : "");
  const lists = pair.map((model, side) => {
    const items = found.names[order[side]].map(([name, ...losses]) => {
      const [own, other] = [order[side], 1 - order[side]].map((n) => losses[n] ?? Infinity);
      const title = `${labels[side]} ${nats(own)}, ${labels[1 - side]} ${nats(other)} nats`;
      const gain = element("small", {}, ` ${signed(other - own)}`);
      const text = element("bdi", {}, name);
      const button = { type: "button", class: "name", title, "data-name": name };
      return element("li", {}, element("button", button, text, gain));
    });
    const head = element("h4", {}, nameOf(model), " predicts better by most");
    return element("div", {}, head, element("ul", { class: "names" }, ...items));
  });
  byId("extremes").replaceChildren(...lists);
}

/** Show all of it. */
function showCompared(pair, numbers) {
  showLetters(pair, numbers);
  showMirrored(pair, numbers);
  showExtremes(pair);
}

globalThis.charlm.showCompared = showCompared;
