// What the keyboard reaches, and whether a reader sees where it is. `arguments[0]` says what to do: `watch` before the keys
// are pressed, `visited` after it.

/** All that Tab must reach: of a group of radio buttons only one. */
function stops() {
  const found = [];
  const groups = new Set();
  for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")) {
    if (e.tabIndex < 0 || e.disabled || !e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })) continue;
    if (e.localName === "summary" && e.parentElement.querySelector("summary") !== e) continue;
    if (e.type === "radio") {
      const peers = [...document.getElementsByName(e.name)];
      if (groups.has(e.name) || (peers.some((p) => p.checked) && !e.checked)) continue;
      groups.add(e.name);
    }
    found.push(e);
  }
  return found;
}

const kind = (e) => `${e.localName}${e.type ? `[${e.type}]` : ""}${e.classList.length ? "." + [...e.classList].join(".") : ""} in ${e.parentElement.localName}`;

/** What shows the focus: the element itself, or the label or neighbour that a rule of `:focus-visible` marks. */
function ring(element) {
  const marked = [element, ...(element.labels || []), element.nextElementSibling, element.parentElement, element.closest("fieldset")];
  for (const e of marked.filter(Boolean)) {
    const style = getComputedStyle(e);
    const width = parseFloat(style.outlineWidth);
    if (style.outlineStyle === "none" || width < 1.5 || !shown(e)) continue;
    const reach = width + parseFloat(style.outlineOffset);
    const box = e.getBoundingClientRect();
    const around = { left: box.left - reach, right: box.right + reach, top: box.top - reach, bottom: box.bottom + reach };
    return { e, width, around, colour: style.outlineStyle === "auto" ? null : rgba(style.outlineColor) };
  }
  return null;
}

function inspect(element) {
  const drawn = ring(element);
  if (!drawn) return find("focus", `${where(element)} shows no ring`);
  for (const { element: around, box } of clips(drawn.e.parentElement)) {
    const sides = ["left", "top"].filter((s) => box[s] - drawn.around[s] > drawn.width / 2).concat(["right", "bottom"].filter((s) => drawn.around[s] - box[s] > drawn.width / 2));
    // What scrolls may hide a side until it is scrolled; what is cut for good is a defect, as is a whole ring out of sight.
    if (sides.length > 1) find("focus", `the ring of ${where(drawn.e)} is cut by ${where(around)}: ${sides.join(", ")}`);
  }
  if (drawn.colour) {
    const on = ground(drawn.e.parentElement);
    const ratio = contrast(over(drawn.colour, on), on);
    if (ratio < LEAST_GRAPHIC) find("focus", `the ring of ${where(drawn.e)}: ${hex(drawn.colour)} on ${hex(on)} is ${ratio.toFixed(2)}`);
  }
  const box = drawn.e.getBoundingClientRect();
  if (box.right <= 0 || box.left >= innerWidth || box.width * box.height < 4) find("focus", `${where(element)} has the focus out of sight`);
}

function watch() {
  const expected = stops();
  window.keyboardChecks = { expected, visited: new Set(), kinds: new Map() };
  document.addEventListener("focusin", ({ target }) => {
    const checks = window.keyboardChecks;
    if (checks.visited.has(target)) return;
    checks.visited.add(target);
    clipCache.clear();
    shownCache.clear();
    tuckedCache.clear();
    groundCache.clear();
    inspect(target);
    checks.findings = [...found];
    if (!checks.kinds.has(kind(target))) checks.kinds.set(kind(target), target);
  });
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) find("focus", `${where(e)} jumps the queue: tabindex ${e.tabIndex}`);
  if (document.activeElement) document.activeElement.blur();
  return expected.length + [...document.querySelectorAll("*")].filter((e) => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX !== "visible" && e.tabIndex < 0).length;
}

function visited() {
  const checks = window.keyboardChecks;
  for (const e of checks.expected) if (!checks.visited.has(e)) find("focus", `Tab never reaches ${where(e)}`);
  return { findings: [...(checks.findings || []), ...close()], kinds: [...checks.kinds.keys()] };
}

/** Gives the focus to the first of a kind, or to nothing, and says where a ring would be in the page's pixels. */
function show(name, on) {
  const e = window.keyboardChecks.kinds.get(name);
  e.scrollIntoView({ block: "center" });
  if (on) e.focus({ focusVisible: true }); else e.blur();
  const boxes = [e, ...(e.labels || [])].map((x) => x.getBoundingClientRect());
  const box = boxes.reduce((a, b) => ({ left: Math.min(a.left, b.left), right: Math.max(a.right, b.right), top: Math.min(a.top, b.top), bottom: Math.max(a.bottom, b.bottom) }));
  const seen = meet({ left: box.left - 9, right: box.right + 9, top: box.top - 9, bottom: box.bottom + 9 }, { left: 0, top: 0, right: innerWidth, bottom: innerHeight });
  return [seen.left + scrollX, seen.top + scrollY, Math.max(1, wide(seen)), Math.max(1, high(seen))];
}

return { watch, visited, show }[arguments[0]](...[...arguments].slice(1));
