// What moves outside the playground: sections that fold, the charts, and the pairs of symbols.
// Without this script all sections are open. Data is only ever inserted as text.

const { unpack } = globalThis.charlm;
const data = JSON.parse(document.getElementById("data").textContent);
const PHONE = "(max-width: 640px)";
const MAX_FOUND = 12; // symbols in a list of a looked up one
const sections = [...document.querySelectorAll("section > details")];
const charts = [...document.querySelectorAll(".vega")];
const drawn = new Set();

/** Open the section that a link leads to. */
function openTarget() {
  const details = document.getElementById(location.hash.slice(1))?.querySelector("details");
  if (!details || details.open) return;
  details.open = true;
  details.parentNode.scrollIntoView();
}

/** Open all sections for the printer, and fold them again afterwards. */
function openForPrint() {
  const folded = sections.filter((details) => !details.open);
  const unfold = (isOpen) => folded.forEach((details) => (details.open = isOpen));
  unfold(true);
  addEventListener("afterprint", () => unfold(false), { once: true });
}

/** Draw the charts of open sections that are not drawn yet, in the colours of the style sheet. */
function drawCharts() {
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const ink = { labelColor: color("--muted"), titleColor: color("--muted"), titleFontWeight: 400 };
  const line = color("--line");
  const config = {
    background: "transparent",
    font: "system-ui, sans-serif",
    axis: { ...ink, gridColor: line, domainColor: line, tickColor: line },
    legend: {
      ...ink,
      orient: "bottom",
      columns: matchMedia(PHONE).matches ? 2 : 3,
      symbolBaseStrokeColor: color("--muted"),
    },
    view: { stroke: null },
  };
  const options = { actions: false, renderer: "svg", mode: "vega-lite", config };
  charts.forEach((place, number) => {
    if (!place.closest("details").open || drawn.has(place)) return;
    drawn.add(place);
    const spec = JSON.stringify(data.charts[number]);
    const colored = spec.replace(/var\((--[\w-]+)\)/g, (_, name) => color(name));
    globalThis.vegaEmbed(place, JSON.parse(colored), options);
  });
}

/** Mark on which sides a region has more to scroll to. */
function markMore(region) {
  const { scrollLeft, scrollWidth, clientWidth } = region;
  const sides = { left: scrollLeft > 1, right: scrollLeft + clientWidth < scrollWidth - 1 };
  region.dataset.more = Object.keys(sides).filter((side) => sides[side]).join(" ");
}

/** Say what the cell under the pointer or the cursor is, and mark it in all tables of a group. */
function followCursor(group) {
  const tables = [...group.querySelectorAll("table.pairs")];
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  let at = [1, 1];
  const select = (row, column) => {
    if (!row || tables[0]?.rows[row]?.cells[column]?.tagName !== "TD") return;
    for (const table of tables) table.rows[at[0]].cells[at[1]].classList.remove("on");
    at = [row, column];
    for (const table of tables) table.rows[row].cells[column].classList.add("on");
    group.querySelector(".said").textContent = tables[0].rows[row].cells[column].title;
  };
  const point = ({ target }) =>
    target.matches(".pairs td") && select(target.parentNode.rowIndex, target.cellIndex);
  for (const kind of ["pointerover", "pointerdown"]) group.addEventListener(kind, point);
  group.addEventListener("keydown", (event) => {
    if (!moves[event.key] || !event.target.matches(".scroll")) return;
    event.preventDefault();
    select(at[0] + moves[event.key][0], at[1] + moves[event.key][1]);
  });
  select(1, 2);
}

/** Return a table of texts. */
function textTable(caption, head, rows) {
  const table = document.createElement("table");
  table.createCaption().textContent = caption;
  const body = table.createTBody();
  for (const texts of [head, ...rows]) {
    const row = body.insertRow();
    for (const text of texts) row.insertCell().textContent = text;
  }
  return table;
}

/** Let people look up which symbols follow and precede one. */
async function startLookup(group, number) {
  const { symbols, labels, totals, seen } = data.pairs[number];
  const { first, following, counts, counted, learned } = await unpack(seen);
  const lookup = group.querySelector(".lookup");
  const [input, said, found] = lookup.querySelectorAll("input, [role=status], .found");
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  const columns = Object.entries({ counted, learned }).filter(([, values]) => values);
  // the most frequent pairs come first
  const table = (word, symbol, one, other, titles, shares) => {
    const pairs = [...counts.keys()].filter((pair) => one[pair] === symbol);
    const of = pairs.length > MAX_FOUND ? `, ${MAX_FOUND} of ${pairs.length} symbols` : "";
    const texts = (pair) => [labels[other[pair]], counts[pair], ...shares(pair).map(percent)];
    const rows = pairs.slice(0, MAX_FOUND).map(texts);
    const caption = `${word} ${labels[symbol]}, which occurs ${totals[symbol]} times${of}`;
    return textTable(caption, ["symbol", "count", ...titles], rows);
  };
  const show = () => {
    const text = input.value.normalize("NFC");
    const symbol = symbols.includes(text) ? symbols.indexOf(text) : labels.indexOf(text);
    said.textContent = text && symbol < 0 ? `No name contains “${text}”.` : "";
    found.replaceChildren();
    if (symbol < 0) return;
    const titles = columns.map(([title]) => title);
    const probabilities = (pair) => columns.map(([, values]) => values[pair] / 1e4);
    const share = (pair) => [counts[pair] / totals[symbol]];
    found.append(table("After", symbol, first, following, titles, probabilities));
    found.append(table("Before", symbol, following, first, ["share"], share));
  };
  lookup.hidden = false;
  input.addEventListener("input", show);
}

if (matchMedia(PHONE).matches) sections.forEach((details) => (details.open = false));
openTarget();
addEventListener("beforeprint", openForPrint);
document.querySelector("nav").addEventListener("click", () => setTimeout(openTarget));
sections.forEach((details) => details.addEventListener("toggle", drawCharts));
const observer = new ResizeObserver((entries) => entries.forEach(({ target }) => markMore(target)));
for (const region of document.querySelectorAll(".scroll")) {
  observer.observe(region);
  region.addEventListener("scroll", () => markMore(region));
}
document.querySelectorAll(".pair-group").forEach((group, number) => {
  followCursor(group);
  startLookup(group, number);
});
drawCharts();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn.clear();
  drawCharts();
});
