// What does not depend on how wide or dark it is: ids, links, names, headings, tables.

function checkIds() {
  const seen = new Set();
  for (const element of document.querySelectorAll("[id]")) {
    if (seen.has(element.id)) find("ids", `#${element.id} stands twice`);
    seen.add(element.id);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "aria-details", "for", "headers"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) {
        if (!seen.has(id)) find("ids", `${where(element)}: ${attribute} names #${id}, which is not there`);
      }
    }
  }
  for (const element of document.querySelectorAll('a[href^="#"]')) {
    const id = decodeURIComponent(element.getAttribute("href").slice(1));
    if (!seen.has(id)) find("links", `${where(element)} leads to #${id}, which is not there`);
  }
  for (const element of document.querySelectorAll("svg *")) {
    for (const { value } of element.attributes) {
      const used = /url\(["']?#([^"')]+)/.exec(value);
      if (used && !seen.has(used[1])) find("ids", `${where(element)} is painted with #${used[1]}, which is not there`);
    }
  }
}

function checkHeadings() {
  if (!document.title.trim()) find("headings", "the page has no title");
  if (!document.documentElement.lang) find("headings", "the page does not say its language");
  const first = document.querySelectorAll("h1");
  if (first.length !== 1) find("headings", `${first.length} headings of the first level`);
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const own = Number(heading.localName[1]);
    if (own > level + 1) find("headings", `${where(heading)} follows a heading of level ${level}`);
    if (!heading.textContent.trim()) find("headings", `${where(heading)} is empty`);
    level = own;
  }
}

function checkPictures() {
  for (const picture of document.querySelectorAll("img")) {
    if (!picture.hasAttribute("alt")) find("names", `${where(picture)} has no alt`);
  }
  for (const picture of document.querySelectorAll("svg")) {
    const told = picture.getAttribute("role") === "img" || picture.getAttribute("aria-hidden") === "true";
    if (!told && !picture.closest('[role="img"], [aria-hidden="true"]')) find("names", `${where(picture)} is neither an image nor hidden from screen readers`);
  }
  const titles = new Map();
  for (const picture of [...document.querySelectorAll('svg[role="img"]')].filter(shown)) {
    const by = document.getElementById((picture.getAttribute("aria-labelledby") || "").split(" ")[0]);
    const title = by ? by.textContent : picture.getAttribute("aria-label");
    const part = picture.closest("section") || document.body;
    if (!titles.has(part)) titles.set(part, new Set());
    if (titles.get(part).has(title)) find("names", `two pictures of ${part.id || "the page"} are called “${title}”`);
    titles.get(part).add(title);
  }
}

function checkTables() {
  for (const table of document.querySelectorAll("table")) {
    if (!table.querySelector("th")) find("tables", `${where(table)} has no heading cells`);
    const widths = new Set([...table.rows].map((row) => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0)));
    if (widths.size > 1 && ![...table.querySelectorAll("td, th")].some((cell) => cell.rowSpan > 1)) find("tables", `${where(table)} has rows of ${[...widths].join(" and ")} cells`);
  }
}

function checkForms() {
  for (const control of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!(control.labels && control.labels.length) && !control.hasAttribute("aria-label") && !control.hasAttribute("aria-labelledby")) find("names", `${where(control)} ${control.value} has no label`);
    if (control.type === "radio" && !control.closest("fieldset, [role=radiogroup]")) find("names", `${where(control)} ${control.value} stands in no named group`);
  }
}

checkIds();
checkHeadings();
checkPictures();
checkTables();
checkForms();
