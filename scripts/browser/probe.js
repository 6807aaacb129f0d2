// What all probes share: what is shown, where the text stands, and what colour is under it. The checker joins the files
// into the body of one function and calls it from outside, so they work with the page's scripts disabled, too. Nothing
// here changes the page.

const PAPER = matchMedia("print").matches;

/** Whether a reader can see the element: rendered, not hidden, not in closed details, not there for screen readers only. */
const shownCache = new Map();
function shown(element) {
  if (!shownCache.has(element)) {
    const seen = element.checkVisibility({ visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true });
    shownCache.set(element, seen && !tucked(element));
  }
  return shownCache.get(element);
}

/** Whether the element or one around it is cut to nothing: how pages hide words that are for screen readers. */
const tuckedCache = new Map();
function tucked(element) {
  if (!element || element === document.documentElement) return false;
  if (!tuckedCache.has(element)) {
    const style = getComputedStyle(element);
    let own = false;
    if (style.position === "absolute" || style.position === "fixed") {
      const box = element.getBoundingClientRect();
      const speck = box.width <= 1 && box.height <= 1 && style.overflow !== "visible";
      own = speck || style.clip.startsWith("rect(0") || /^inset\((50|100)%/.test(style.clipPath) || box.right <= 0 && scrollX === 0;
    }
    tuckedCache.set(element, own || tucked(element.parentElement));
  }
  return tuckedCache.get(element);
}

/** A short name of an element, to find it again. */
function where(element) {
  const words = (element.textContent || "").replace(/\s+/g, " ").trim().slice(0, 60);
  const own = element.id ? `#${element.id}` : "";
  const around = element.id ? null : element.parentElement && element.parentElement.closest("[id]");
  const of = element.classList && element.classList.length ? "." + [...element.classList].join(".") : "";
  return `${around ? `#${around.id} ` : ""}${element.localName}${own}${of}${words ? ` “${words}”` : ""}`;
}

// Findings, at most a few of a kind: a hundred of the same tell no more than five.
const MOST = 5;
const found = [];
const counts = {};
function find(check, what) {
  counts[check] = (counts[check] || 0) + 1;
  if (counts[check] <= MOST) found.push({ check, what });
}
function close() {
  for (const [check, count] of Object.entries(counts)) {
    if (count > MOST) found.push({ check, what: `… and ${count - MOST} more` });
  }
  return found;
}

const round = (x) => Math.round(x * 10) / 10;
const describe = (box) => `[${round(box.left)}…${round(box.right)} × ${round(box.top)}…${round(box.bottom)}]`;
const meet = (a, b) => ({
  left: Math.max(a.left, b.left), right: Math.min(a.right, b.right),
  top: Math.max(a.top, b.top), bottom: Math.min(a.bottom, b.bottom),
});
const wide = (box) => box.right - box.left;
const high = (box) => box.bottom - box.top;

const pencil = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

/** The ancestors that cut what sticks out of them, as `{ box, cuts }`: `cuts` where nothing brings it back by scrolling. */
const clipCache = new Map();
function clips(element) {
  if (!element || element === document.body || element === document.documentElement) return [];
  if (!clipCache.has(element)) {
    const style = getComputedStyle(element);
    const own = [];
    const scrolls = (value) => value === "auto" || value === "scroll";
    if ((style.overflowX !== "visible" || style.overflowY !== "visible") && (style.display !== "inline" || element.localName === "svg")) {
      const box = element.getBoundingClientRect();
      own.push({ element, box, cuts: PAPER || !(scrolls(style.overflowX) || scrolls(style.overflowY)) });
    }
    clipCache.set(element, [...own, ...clips(element.parentElement)]);
  }
  return clipCache.get(element);
}

/** The corners of a box in the user space of an SVG element, as a box on the screen. */
function onScreen(matrix, left, top, right, bottom) {
  const corners = [[left, top], [right, top], [right, bottom], [left, bottom]].map(([x, y]) => new DOMPoint(x, y).matrixTransform(matrix));
  const xs = corners.map((p) => p.x);
  const ys = corners.map((p) => p.y);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

/** The inked boxes of the texts of the page's pictures: `{ owner, words, box, size, picture }`. */
function pictureTexts() {
  const pieces = [];
  for (const text of document.querySelectorAll("svg text, svg tspan")) {
    const own = [...text.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data).join("").trim();
    if (!own || text.closest("defs") || !shown(text)) continue;
    const matrix = text.getScreenCTM();
    if (!matrix || text.getNumberOfChars() === 0) continue;
    const style = getComputedStyle(text);
    pencil.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const ink = pencil.measureText(own);
    const box = text.getBBox();
    const baseline = text.getStartPositionOfChar(0).y;
    const top = baseline - ink.actualBoundingBoxAscent;
    const bottom = baseline + ink.actualBoundingBoxDescent;
    const scale = Math.hypot(matrix.b, matrix.d);
    pieces.push({
      owner: text, words: own, box: onScreen(matrix, box.x, top, box.x + box.width, bottom),
      size: parseFloat(style.fontSize) * scale, picture: text.ownerSVGElement,
    });
  }
  return pieces;
}

/** The lines of the page's other texts, each without the empty space above and below its letters. */
function lines() {
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const owner = node.parentElement;
    if (!node.data.trim() || owner.closest("svg, script, style, noscript, option") || !shown(owner)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const size = parseFloat(getComputedStyle(owner).fontSize);
    for (const box of range.getClientRects()) {
      if (box.width < 1) continue;
      const middle = (box.top + box.bottom) / 2;
      pieces.push({
        owner, node, words: node.data.trim(), size,
        box: { left: box.left, right: box.right, top: middle - 0.36 * size, bottom: middle + 0.36 * size },
      });
    }
  }
  return pieces;
}
