// The state of the playground as a link: the part of the address after #, such as
// #text=mar&model=mlp&temperature=0.8&seed=3&revision=0123456789. Section names have no "=".

const OPTIONAL = { "top-k": "", count: "20", begin: "" }; // left out of a link if so
const NUMBER = /^(\d+(\.\d+)?)?$/; // or nothing
const MAX_SHOWN = 40; // characters of an invalid value

/** Return a field's value as text; a checked box is "1". */
function valueOf(field) {
  return field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
}

/** Set a field to a text, and return whether it is a valid value; otherwise leave it as it was. */
function setField(field, text) {
  if (field.type === "number" && !NUMBER.test(text)) return false; // browsers would warn
  const before = valueOf(field);
  const set = (value) => {
    if (field.type === "checkbox") field.checked = value === "1";
    else field.value = value;
  };
  field.setCustomValidity(""); // of the value before
  set(text);
  const isLong = field.maxLength >= 0 && text.length > field.maxLength; // scripts may
  const isValid = text === valueOf(field) && !isLong && field.checkValidity();
  if (!isValid) set(before);
  return isValid;
}

/** Return a text that is short enough to be shown. */
function shorten(text) {
  const characters = [...text];
  return characters.length > MAX_SHOWN ? `${characters.slice(0, MAX_SHOWN).join("")}…` : text;
}

/** Return the state of fields, by name, as the part of an address after #. */
function writeState(fields, revision) {
  const values = Object.entries(fields).map(([name, field]) => [name, valueOf(field)]);
  const written = values.filter(([name, value]) => value !== OPTIONAL[name]);
  return `#${new URLSearchParams([...written, ["revision", revision]])}`;
}

/** Tell whether the part of an address after # is a state, and not the name of a section. */
function isState(hash) {
  return hash.includes("=");
}

/** Set fields to a state, and return what to say about it: nothing if all of it is valid. */
function readState(hash, fields, revision) {
  const ignored = [];
  let other = "";
  for (const [name, text] of new URLSearchParams(hash.slice(1))) {
    if (name === "revision") {
      if (text !== revision) other = `the link is from other models (${shorten(text)})`;
    } else if (!Object.hasOwn(fields, name) || !setField(fields[name], text)) {
      ignored.push(shorten(`${name}=${text}`));
    }
  }
  const notes = [
    other && `${other}, so numbers and names may differ`,
    ignored.length && `ignored in the link: ${ignored.join(", ")}`,
  ].filter(Boolean).join("; ");
  return notes && `${notes[0].toUpperCase()}${notes.slice(1)}.`;
}

globalThis.charlm.state = { isState, readState, writeState };
