// Colours: what is painted under a point, and whether words and lines stand out from it. WCAG 2's contrast.

const LEAST_TEXT = 4.5;
const LEAST_GRAPHIC = 3;

/** Any CSS colour as [red, green, blue, alpha], the first three 0…255. */
const colourCache = new Map();
function rgba(css) {
  if (!css || css === "none" || css === "transparent") return [0, 0, 0, 0];
  if (!colourCache.has(css)) {
    pencil.clearRect(0, 0, 1, 1);
    pencil.fillStyle = css;
    pencil.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pencil.getImageData(0, 0, 1, 1).data;
    colourCache.set(css, [r, g, b, a / 255]);
  }
  return colourCache.get(css);
}
const faded = ([r, g, b, a], opacity) => [r, g, b, a * opacity];
const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a), 1];
const hex = (c) => "#" + c.slice(0, 3).map((x) => Math.round(x).toString(16).padStart(2, "0")).join("");

function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function contrast(a, b) {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

/** What is behind everything: white, but for a page that says it can be dark, on a screen that wishes it. */
function canvas() {
  const dark = !PAPER && matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");
  return dark ? [18, 18, 18, 1] : [255, 255, 255, 1];
}

/** What the element stands on: the backgrounds of it and of those around it. Printers leave backgrounds out unless told. */
const groundCache = new Map();
function ground(element) {
  if (!element) return canvas();
  if (!groundCache.has(element)) {
    const style = getComputedStyle(element);
    const printed = !PAPER || style.printColorAdjust === "exact";
    const layer = printed ? faded(rgba(style.backgroundColor), parseFloat(style.opacity)) : [0, 0, 0, 0];
    groundCache.set(element, layer[3] === 1 ? layer : over(layer, ground(element.parentElement)));
  }
  return groundCache.get(element);
}

/** The product of the opacities of the element and those around it, up to its picture. */
function opacityOf(element, picture) {
  let product = 1;
  for (let e = element; e && e !== picture; e = e.parentElement) product *= parseFloat(getComputedStyle(e).opacity);
  return product;
}

/** A paint of SVG as colours: one, or all of a pattern's or gradient's. */
function paints(css, opacity) {
  const reference = /^url\("?#([^")]+)"?\)/.exec(css || "");
  if (!reference) return [faded(rgba(css), opacity)];
  const server = document.getElementById(reference[1]);
  if (!server) return [[0, 0, 0, 0]];
  return [...server.querySelectorAll("*")].flatMap((e) => {
    const style = getComputedStyle(e);
    return e.localName === "stop" ? [rgba(style.stopColor)] : [rgba(style.fill), rgba(style.stroke)];
  }).filter((c) => c[3] > 0);
}

/** The painted shapes of a picture in the order of painting. */
function shapesOf(picture) {
  const shapes = [];
  const paper = ground(picture);
  for (const element of picture.querySelectorAll("rect, path, circle, ellipse, polygon, polyline, line")) {
    if (element.closest("defs, pattern, clipPath, mask, marker, symbol") || !shown(element)) continue;
    const style = getComputedStyle(element);
    const opacity = opacityOf(element, picture);
    const fills = paints(style.fill, opacity * parseFloat(style.fillOpacity));
    const stroke = parseFloat(style.strokeWidth) > 0 ? paints(style.stroke, opacity * parseFloat(style.strokeOpacity))[0] || [0, 0, 0, 0] : [0, 0, 0, 0];
    const matrix = element.getScreenCTM();
    if (!matrix || fills.every((f) => f[3] === 0) && stroke[3] === 0) continue;
    const back = matrix.inverse();
    const half = stroke[3] ? parseFloat(style.strokeWidth) * Math.hypot(matrix.a, matrix.b) / 2 : 0;
    const tight = element.getBoundingClientRect();
    const box = { left: tight.left - half, right: tight.right + half, top: tight.top - half, bottom: tight.bottom + half };
    shapes.push({ element, box, back, fills, fill: fills[0] || [0, 0, 0, 0], stroke, strong: stroke[3] > 0 && contrast(over(stroke, paper), paper) >= 2.5 });
  }
  return shapes;
}

const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const near = ({ box }, { x, y }) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
const inside = ({ back: m }, { x, y }) => ({ x: m.a * x + m.c * y + m.e, y: m.b * x + m.d * y + m.f });
const inFill = (shape, point) => near(shape, point) && shape.element.isPointInFill(inside(shape, point));
const inStroke = (shape, point) => near(shape, point) && shape.element.isPointInStroke(inside(shape, point));

/** Points spread over a box, its edges left out. */
function grid(box, columns, rows) {
  const points = [];
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < rows; j++) points.push({ x: box.left + wide(box) * (i + 0.5) / columns, y: box.top + high(box) * (j + 0.5) / rows });
  }
  return points;
}

/** Whether the letters have an outline of their own behind them. */
function haloed(text) {
  const style = getComputedStyle(text);
  return style.paintOrder.startsWith("stroke") && rgba(style.stroke)[3] > 0.5 && parseFloat(style.strokeWidth) >= 2;
}

/** The worst ground under a box of a picture, given the shapes that are painted before `owner`. */
function worstUnder(owner, ink, box, shapes, paper, points) {
  const under = shapes.filter((s) => meets(s.box, box) && s.element !== owner && s.element.compareDocumentPosition(owner) & Node.DOCUMENT_POSITION_FOLLOWING);
  let worst = { ratio: Infinity, on: paper };
  for (const point of points) {
    let grounds = [paper];
    for (const shape of under) {
      if (inFill(shape, point)) grounds = shape.fills.flatMap((fill) => grounds.map((g) => over(fill, g))).slice(0, 8);
      if (shape.stroke[3] > 0 && inStroke(shape, point)) grounds = grounds.map((g) => over(shape.stroke, g));
    }
    for (const on of grounds) {
      const ratio = contrast(over(ink, on), on);
      if (ratio < worst.ratio) worst = { ratio, on };
    }
  }
  return worst;
}

function checkTextOfPictures() {
  const texts = pictureTexts();
  for (const picture of document.querySelectorAll("svg")) {
    if (!shown(picture)) continue;
    const [shapes, paper] = [shapesOf(picture), ground(picture)];
    for (const text of texts.filter((t) => t.picture === picture)) {
      const style = getComputedStyle(text.owner);
      const ink = faded(rgba(style.fill), opacityOf(text.owner, picture) * parseFloat(style.fillOpacity));
      const worst = haloed(text.owner)
        ? { ratio: contrast(ink, rgba(style.stroke)), on: rgba(style.stroke) }
        : worstUnder(text.owner, ink, text.box, shapes, paper, grid(text.box, 9, 3));
      if (worst.ratio < LEAST_TEXT) find("contrast", `${where(text.owner)}: ${hex(over(ink, worst.on))} on ${hex(worst.on)} is ${worst.ratio.toFixed(2)}`);
    }
    checkMarks(shapes, paper);
  }
}

/** Lines and markers of strategies against the paper; grids, bands and hatching carry nothing alone. */
function checkMarks(shapes, paper) {
  for (const { element, fill, stroke } of shapes) {
    const name = element.getAttribute("class") || "";
    const mark = /\bs\d+-line\b|\bmark\b/.test(name);
    const ink = stroke[3] > 0 ? stroke : fill;
    if (!mark || ink[3] < 0.99) continue;
    const ratio = contrast(ink, paper);
    if (ratio < LEAST_GRAPHIC) find("graphics", `${where(element)}: ${hex(ink)} on ${hex(paper)} is ${ratio.toFixed(2)}`);
  }
}

function checkTextOfPage() {
  const done = new Map();
  for (const line of lines()) {
    if (done.has(line.owner)) continue;
    done.set(line.owner, true);
    const on = ground(line.owner);
    const style = getComputedStyle(line.owner);
    if (style.backgroundImage !== "none") continue;
    const ink = faded(rgba(style.color), opacityOf(line.owner, null));
    const ratio = contrast(over(ink, on), on);
    if (ratio < LEAST_TEXT) find("contrast", `${where(line.owner)}: ${hex(over(ink, on))} on ${hex(on)} is ${ratio.toFixed(2)}`);
  }
}

function checkColours() {
  checkTextOfPage();
  checkTextOfPictures();
}
