// What moves outside the playground: the charts, and the cursor in the tables of pairs.

const data = JSON.parse(document.getElementById("data").textContent);

/** Say what the cell under the pointer or the cursor is, and mark it in all tables of a group. */
function followCursor(group) {
  const tables = [...group.querySelectorAll("table")];
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  let at = [1, 1];
  const select = (row, column) => {
    if (!row || tables[0].rows[row]?.cells[column]?.tagName !== "TD") return;
    for (const table of tables) table.rows[at[0]].cells[at[1]].classList.remove("on");
    at = [row, column];
    for (const table of tables) table.rows[row].cells[column].classList.add("on");
    group.querySelector(".said").textContent = tables[0].rows[row].cells[column].title;
  };
  const point = ({ target: { tagName, parentNode, cellIndex } }) =>
    tagName === "TD" && select(parentNode.rowIndex, cellIndex);
  for (const kind of ["pointerover", "pointerdown"]) group.addEventListener(kind, point);
  group.addEventListener("keydown", (event) => {
    if (!moves[event.key]) return;
    event.preventDefault();
    select(at[0] + moves[event.key][0], at[1] + moves[event.key][1]);
  });
  select(1, 2);
}

/** Draw all charts in the colours of the style sheet. */
function drawCharts() {
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const ink = { labelColor: color("--muted"), titleColor: color("--muted"), titleFontWeight: 400 };
  const line = color("--line");
  const config = {
    background: "transparent",
    font: "system-ui, sans-serif",
    axis: { ...ink, gridColor: line, domainColor: line, tickColor: line },
    legend: { ...ink, orient: "bottom", columns: 3, symbolBaseStrokeColor: color("--muted") },
    view: { stroke: null },
  };
  const options = { actions: false, renderer: "svg", mode: "vega-lite", config };
  document.querySelectorAll(".vega").forEach((place, number) => {
    const spec = JSON.stringify(data.charts[number]);
    const colored = spec.replace(/var\((--[\w-]+)\)/g, (_, name) => color(name));
    globalThis.vegaEmbed(place, JSON.parse(colored), options);
  });
}

document.querySelectorAll(".pair-group").forEach(followCursor);
drawCharts();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
