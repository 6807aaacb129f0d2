// Where things stand: sideways scrolling, words over words, words that are cut, pictures too small to read.

/** Less than this share of a pixel is rounding. */
const SLACK = 0.75;
/** Words of a picture smaller than this cannot be read on a screen, in its pixels. */
const SMALLEST = 8;

function checkSideways() {
  const root = document.scrollingElement;
  const limit = Math.min(root.clientWidth, innerWidth);
  if (root.scrollWidth <= root.clientWidth && innerWidth <= root.clientWidth + 20) return;
  const guilty = [...document.body.querySelectorAll("*")].filter((e) => shown(e) && e.getBoundingClientRect().right > limit + SLACK && !clips(e.parentElement).length);
  find("sideways", `the page is ${root.scrollWidth} px wide in a window of ${limit} px: ${guilty.slice(-2).map(where).join(", ") || "nobody sticks out"}`);
}

function checkWords() {
  const pieces = [...lines(), ...pictureTexts()];
  for (const piece of pieces) {
    piece.seen = piece.box;
    for (const { element, box, cuts } of clips(piece.owner)) {
      // What an inner box already takes away can be scrolled to; only the rest is lost here.
      const { seen } = piece;
      const out = Math.max(box.left - seen.left, seen.right - box.right, box.top - seen.top, seen.bottom - box.bottom);
      if (cuts && out > SLACK && wide(seen) > 0 && high(seen) > 0) find("clipped", `${where(piece.owner)} ${describe(piece.box)} sticks ${round(out)} px out of ${where(element)} ${describe(box)}`);
      piece.seen = meet(piece.seen, box);
    }
    if (piece.picture && piece.size < SMALLEST) find("tiny", `${where(piece.owner)} is ${round(piece.size)} px high`);
  }
  overlaps(pieces.filter((piece) => wide(piece.seen) > 0.5 && high(piece.seen) > 0.5));
}

function overlaps(pieces) {
  pieces.sort((a, b) => a.seen.top - b.seen.top);
  let open = [];
  for (const piece of pieces) {
    open = open.filter((other) => other.seen.bottom > piece.seen.top);
    for (const other of open) {
      if (other.node && other.node === piece.node) continue;
      const shared = meet(piece.seen, other.seen);
      if (wide(shared) > SLACK && high(shared) > SLACK) {
        find("overlap", `${where(other.owner)} ${describe(other.seen)} and ${where(piece.owner)} ${describe(piece.seen)}`);
      }
    }
    open.push(piece);
  }
}

/** Shapes that are drawn over words, or lines of data that run through them. */
function checkStruck() {
  const texts = pictureTexts();
  for (const picture of document.querySelectorAll("svg")) {
    if (!shown(picture)) continue;
    const shapes = shapesOf(picture);
    for (const text of texts.filter((t) => t.picture === picture)) {
      const points = grid(text.box, 11, 3);
      for (const shape of shapes.filter((s) => meets(s.box, text.box))) {
        const over = shape.element.compareDocumentPosition(text.owner) & Node.DOCUMENT_POSITION_PRECEDING;
        const ink = over && shape.fill[3] > 0.5 ? inFill : !haloed(text.owner) && shape.strong && shape.stroke[3] > 0.5 ? inStroke : null;
        const hits = ink ? points.filter((p) => ink(shape, p)).length : 0;
        if (hits > 1) {
          find("struck", `${where(text.owner)} ${describe(text.box)} has ${where(shape.element)} ${over ? "over" : "behind"} it`);
          break;
        }
      }
    }
  }
}

function checkTargets() {
  for (const control of document.querySelectorAll("summary, button, select, input:not([type=hidden])")) {
    const pieces = [control, ...(control.labels || [])].filter((e) => e.checkVisibility());
    if (!pieces.length) continue;
    const boxes = pieces.map((e) => e.getBoundingClientRect());
    if (!boxes.some((b) => b.height >= 24 && b.width >= 24)) find("target", `${where(control)} is ${boxes.map((b) => `${round(b.width)}×${round(b.height)}`).join(", ")} px: less than 24×24`);
  }
}

function checkGeometry() {
  checkSideways();
  checkWords();
  checkStruck();
  if (!PAPER) checkTargets();
}
