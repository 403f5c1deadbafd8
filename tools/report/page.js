// The playground: what people type, pick and copy. state.js has links, show.js and compare.js what
// is shown, and models.js the models themselves.

const { unpack, loadModels, encode, drawNames, showCompared } = globalThis.charlm;
const { byId, data, element, showNext, showScore } = globalThis.charlm.show;
const { isState, readState, writeState } = globalThis.charlm.state;
const MARKS = { train: "in train", dev: "in dev only", new: "new" };

/** Return advice on a text, empty if there is none: another case, where names have it. */
function caseHint(text, train) {
  const known = new Set(data.symbols);
  const changed = (change) => [...text].map((one) => (known.has(one) ? one : change(one))).join("");
  const { unknown } = encode(text, data);
  if (unknown.length) {
    const others = [changed((one) => one.toLowerCase()), changed((one) => one.toUpperCase())];
    const other = others.find((one) => !encode(one, data).unknown.length);
    return `No name contains “${unknown.join("”, “")}”${other ? `; did you mean “${other}”?` : ""}`;
  }
  const typed = text.normalize("NFC");
  let other = "";
  for (const name of train ?? []) {
    if (name.startsWith(typed)) return "";
    const beginning = name.slice(0, typed.length);
    if (!other && beginning.toLowerCase() === typed.toLowerCase()) other = beginning;
  }
  return other && `No name in train begins with “${typed}”; try “${other}”`;
}

/** Return the settings, and say which is invalid; null if one is. */
function readSettings(form) {
  const { temperature } = form.elements;
  temperature.setCustomValidity(Number(temperature.value) > 0 ? "" : "must be above 0");
  const invalid = [...form.elements].find((field) => !field.checkValidity());
  const label = invalid?.labels[0].textContent.trim();
  byId("setting-error").textContent = invalid ? `${label}: ${invalid.validationMessage}` : "";
  if (invalid) {
    invalid.closest("form, .controls").after(byId("setting-error"));
    return null;
  }
  const values = Object.fromEntries(new FormData(form));
  const numbers = ["seed", "count", "temperature"].map((key) => [key, Number(values[key])]);
  return { ...values, ...Object.fromEntries(numbers), topK: Number(values["top-k"]) };
}

/** Show drawn names, each marked by where it occurs; none if a setting is invalid. */
function showDrawn(models, words, typed, settings) {
  if (!settings) return byId("drawn").replaceChildren();
  const { logits } = models.find(({ label }) => label === settings.model);
  const prefix = settings.begin ? typed : [];
  const names = drawNames(logits, data, { ...settings, maxLength: data.maxLength, prefix });
  const items = names.map((name) => {
    const mark = words.train?.has(name) ? "train" : words.dev?.has(name) ? "dev" : "new";
    const known = words.train ? { class: `mark ${mark}`, title: MARKS[mark] } : {};
    return element("li", known, element("bdi", {}, name || "(empty)"));
  });
  byId("drawn").replaceChildren(...items);
}

/** Put a state into the address, and copy that; where a page may not, leave it selected. */
async function copyLink(state) {
  history.replaceState(null, "", state);
  byId("link-field").hidden = false;
  byId("link").value = location.href;
  byId("link").select();
  try {
    await navigator.clipboard.writeText(location.href);
    byId("link-said").textContent = "The link is copied.";
  } catch {
    byId("link-said").textContent = "The link is selected: copy it.";
  }
}

/** Let people type, pick, draw and copy. */
async function startPlayground() {
  const [models, words] = [await loadModels(data), await unpack(data.words)];
  const read = (bytes) => new Set(new TextDecoder().decode(bytes).split("\n"));
  for (const split of Object.keys(words)) words[split] = read(words[split]);
  const [input, form, slider, axis] = ["text", "draw", "slider", "axis"].map(byId);
  const named = [...form.elements].filter(({ name }) => name).map((field) => [field.name, field]);
  const fields = { text: input, ...Object.fromEntries(named) };
  const picked = (name) => models.find(({ label }) => label === fields[name].value);
  let [typed, width] = [[], 0];
  let settings = { temperature: 1 }; // the last valid ones

  const showBars = () => {
    width = axis.clientWidth;
    const found = encode(byId("find").value, data).numbers.filter((number) => number >= 0);
    showNext(models, typed, settings, found);
  };
  const update = () => {
    const { unknown, numbers } = encode(input.value, data);
    byId("said").textContent = caseHint(input.value, words.train);
    input.setAttribute("aria-invalid", unknown.length > 0); // hides the results of the text before
    if (!unknown.length) typed = numbers;
    slider.value = fields.temperature.value;
    const valid = readSettings(form);
    settings = valid ?? settings;
    showBars();
    showScore(models, typed);
    showCompared([picked("model"), picked("second")], typed);
    showDrawn(models, words, typed, valid);
  };
  const write = (text) => {
    input.value = text;
    update();
  };
  const restore = () => {
    if (!isState(location.hash)) return;
    form.reset();
    input.value = data.example;
    byId("link-said").textContent = readState(location.hash, fields, data.revision);
    byId("link-field").hidden = true;
    update();
    byId("playground").scrollIntoView();
  };

  byId("playground").addEventListener("input", ({ target }) => {
    if (target === slider) fields.temperature.value = slider.value;
    update();
  });
  byId("next").addEventListener("click", ({ target }) => {
    const { symbol } = target.dataset;
    if (symbol === undefined || Number(symbol) === data.end) return;
    write(input.value + data.symbols[symbol]);
  });
  byId("extremes").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-name]");
    if (button) write(button.dataset.name);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fields.seed.value = Number(fields.seed.value) + 1;
    update();
  });
  byId("copy").addEventListener("click", () => copyLink(writeState(fields, data.revision)));
  addEventListener("hashchange", restore);
  new ResizeObserver(() => requestAnimationFrame(() => axis.clientWidth === width || showBars()))
    .observe(axis);
  input.value = data.example;
  update();
  restore();
  byId("playground").dataset.ready = "yes";
}

if (data.models.length) startPlayground();
