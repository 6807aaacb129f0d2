"""All checks of one page: the views of it (width, scheme, paper, large letters, no scripts) and the keyboard.

A finding is (view, check, words). The probes do the looking inside the page; here is what they are shown.
"""
import urllib.parse
import xml.etree.ElementTree
from pathlib import Path

HERE = Path(__file__).parent
WIDTHS = (390, 1280)
# A4 with margins of 10 mm, in CSS pixels.
PAPER_WIDTH = 718
NAMED_ROLES = {"image", "figure", "link", "radio", "radiogroup", "region", "button", "DisclosureTriangle", "navigation", "textbox"}
MOST_STOPS = 400


def source(*names):
    """The probes of these names as the body of one function."""
    return "\n".join((HERE / f"{name}.js").read_text() for name in names)


def probe_of(*calls):
    """The probe that makes these checks."""
    return source("probe", "colour", "geometry") + "\n" + " ".join(f"{call}();" for call in calls) + "\nreturn close();"


PROBES = {
    "all": probe_of("checkGeometry", "checkColours"),
    "geometry": probe_of("checkGeometry"),
    "colour": probe_of("checkColours"),
    "structure": source("probe", "structure") + "\nreturn close();",
    "keyboard": source("probe", "colour", "keyboard"),
}
LAYOUT = source("probe") + """
return [...lines(), ...pictureTexts()].map((p) => `${p.words.slice(0, 30)} ${describe(p.box)}`);"""
LINKS = """
return [...document.querySelectorAll('a[href]:not([href^="#"])')].map((a) => [a.getAttribute("href").slice(0, 200), a.href.slice(0, 4000), a.hasAttribute("download")]);"""
LETTERS = source("probe") + """
return lines().reduce((most, line) => [most[0] + line.size, most[1] + 1], [0, 0]);"""
GROUPS = "return [...new Set([...document.querySelectorAll('input[type=radio]')].map((r) => r.name))];"
CHOICE = source("probe", "colour") + """
const radios = [...document.getElementsByName(arguments[0])];
const pictures = [...document.querySelectorAll("svg")].filter(shown);
const paint = (picture) => shapesOf(picture).map((s) => hex(s.fill)).join("");
return {
  options: radios.length, chosen: radios.findIndex((r) => r.checked), focused: radios.indexOf(document.activeElement),
  pictures: pictures.map((p) => p.getAttribute("aria-labelledby") || p.getAttribute("aria-label") || p.id),
  content: pictures.map((p) => paint(p) + p.textContent).join("|"), colours: pictures.map(paint).join("|"),
};"""
CHOOSE = """
let most = 0;
for (const name of new Set([...document.querySelectorAll("input[type=radio]")].map((r) => r.name))) {
  const radios = [...document.getElementsByName(name)];
  radios[Math.min(arguments[0], radios.length - 1)].checked = true;
  most = Math.max(most, radios.length);
}
return most;"""
OPEN = "for (const d of document.querySelectorAll('details')) d.open = true; return document.querySelectorAll('details').length;"
SUMMARY = """
const d = [...document.querySelectorAll("details")].find((d) => d.checkVisibility() && d.querySelector("summary"));
if (!d) return null;
if (arguments[0]) { d.open = false; d.querySelector("summary").focus(); }
return d.open;"""


def torn(path):
    """What is wrong with a picture's file, or nothing. Other files are not looked into."""
    if path.suffix == ".svg":
        try:
            root = xml.etree.ElementTree.parse(path).getroot()
        except xml.etree.ElementTree.ParseError as error:
            return str(error)
        return None if root.tag.endswith("}svg") and root.get("viewBox") else "no SVG with a viewBox"
    if path.suffix == ".png":
        data = path.read_bytes()
        whole = data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")
        return None if whole else "no whole PNG"
    return None


class Visit:
    """The checks of one page with one session."""

    def __init__(self, session, page, name, shots=None, rings=None, recolours=False):
        self.session, self.page, self.name, self.shots = session, Path(page).resolve(), name, shots
        # Kinds of controls whose ring was photographed; pages with the same style may share it.
        self.rings = set() if rings is None else rings
        self.recolours = recolours
        self.url = self.page.as_uri()
        self.found, self.worn = [], {}

    def note(self, view, findings):
        """Keeps findings `{check, what}` of a view."""
        self.found += [(view, f["check"], f["what"]) for f in findings]

    def wear(self, width, scheme="light", media="screen", letters=16, scripts=True):
        """Sets the window, the reader's wishes and the medium; only what differs from before is told."""
        phone = width < 600
        wishes = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
        wanted = {
            "Emulation.setDeviceMetricsOverride": {"width": width, "height": 844 if phone else 900, "deviceScaleFactor": 1, "mobile": phone},
            "Emulation.setEmulatedMedia": {"media": media, "features": wishes},
            "Page.setFontSizes": {"fontSizes": {"standard": letters, "fixed": letters * 13 // 16}},
            "Emulation.setScriptExecutionDisabled": {"value": not scripts},
            "Emulation.setScrollbarsHidden": {"hidden": media == "print"},
        }
        for command, params in wanted.items():
            if self.worn.get(command) != params:
                self.session.cdp(command, **params)
                self.worn[command] = params

    def load(self, view):
        """Opens the page: nothing else may be asked for, and nothing said on the console."""
        self.session.open(self.url)
        for url in self.session.requests():
            if url.split("#")[0] != self.url and not url.startswith("data:"):
                self.note(view, [{"check": "requests", "what": f"the page asks for {url[:200]}"}])
        self.console(view)

    def console(self, view):
        """What stands on the console is a finding."""
        for entry in self.session.log_of("browser"):
            self.note(view, [{"check": "console", "what": f"{entry['level']}: {entry['message'][:300]}"}])

    def probe(self, view, name):
        """Runs a probe and keeps its findings."""
        self.note(view, self.session.run(PROBES[name]) or [])

    def shot(self, view):
        """Saves a picture of the whole page, where wanted."""
        if self.shots:
            self.session.screenshot(self.shots / f"{self.name}-{view.replace(' ', '-')}.png")

    def everything(self):
        """All views, in an order that needs few loads; the findings."""
        layout = None
        for width in WIDTHS:
            self.wear(width)
            self.load(f"{width} light")
            if width == WIDTHS[-1]:
                self.probe(f"{width} light", "structure")
                self.names(f"{width} light")
                self.links(f"{width} light")
                layout = self.session.run(LAYOUT)
            self.schemes(width)
            self.choices(width)
            self.keyboard(f"{width} light")
            self.opened(width)
            self.large(width)
        self.paper()
        self.without_scripts(layout)
        self.console("at the end")
        return self.found

    def schemes(self, width):
        """Light with everything, dark with its colours."""
        self.probe(f"{width} light", "all")
        self.shot(f"{width} light")
        self.wear(width, "dark")
        self.probe(f"{width} dark", "colour")
        self.shot(f"{width} dark")
        self.wear(width)

    def choices(self, width):
        """What the other choices of all switches show: the same checks again."""
        if not self.session.run(GROUPS):
            return
        option, most = 1, 2
        while option < most:
            most = self.session.run(CHOOSE, option)
            self.hidden_before(width, f"choice {option + 1}")
            option += 1
        self.session.run(CHOOSE, 0)

    def opened(self, width):
        """With all details open."""
        if self.session.run(OPEN):
            self.hidden_before(width, "details open")

    def hidden_before(self, width, what):
        """Checks what could not be seen at first; its colours, which do not depend on the width, only once."""
        if width < WIDTHS[-1]:
            self.probe(f"{width} light, {what}", "geometry")
            return
        self.probe(f"{width} light, {what}", "all")
        self.wear(width, "dark")
        self.probe(f"{width} dark, {what}", "colour")
        self.wear(width)

    def large(self, width):
        """With the reader's letters twice as large as usual: everything is still there, and it is larger."""
        size, count = self.session.run(LETTERS)
        self.wear(width, letters=32)
        doubled, again = self.session.run(LETTERS)
        if count and again and doubled / again < 1.7 * size / count:
            what = f"letters of twice the size make those of the page {doubled / again * count / size:.2f} times as large"
            self.note(f"{width} large", [{"check": "zoom", "what": what}])
        self.probe(f"{width} large", "geometry")
        self.shot(f"{width} large")
        self.wear(width)

    def paper(self):
        """Printed, whatever scheme the reader prefers."""
        self.wear(PAPER_WIDTH, media="print")
        self.load("print")
        self.probe("print", "all")
        self.shot("print")
        self.wear(PAPER_WIDTH, "dark", media="print")
        self.probe("print dark", "colour")

    def without_scripts(self, layout):
        """Without scripts the page looks the same, and its switches work."""
        width = WIDTHS[-1]
        self.wear(width, scripts=False)
        self.load("no scripts")
        now = self.session.run(LAYOUT)
        if now != layout:
            changed = next((pair for pair in zip(layout, now) if pair[0] != pair[1]), (len(layout), len(now)))
            self.note("no scripts", [{"check": "scripts", "what": f"{changed[0]} becomes {changed[1]}"}])
        self.switches("no scripts")
        self.wear(width)

    def names(self, view):
        """Every picture, figure, link and control has a name for screen readers, as Chromium itself computes it."""
        nodes = self.session.cdp("Accessibility.getFullAXTree")["nodes"]
        for node in nodes:
            role = node.get("role", {}).get("value")
            if node.get("ignored") or role not in NAMED_ROLES or node.get("name", {}).get("value", "").strip():
                continue
            it = self.session.cdp("DOM.describeNode", backendNodeId=node["backendDOMNodeId"])["node"]
            marks = it.get("attributes", [])
            what = f"<{it['localName']} {' '.join(marks)[:80]}> is a {role} without a name"
            self.note(view, [{"check": "names", "what": what}])

    def links(self, view):
        """Links to files lead to files that are there, and whole; links to elsewhere leave the folder and are wrong."""
        for href, url, saved in self.session.run(LINKS):
            parts = urllib.parse.urlsplit(url)
            if parts.scheme == "data" and saved:
                continue  # Data in the page itself, to be saved.
            target = Path(urllib.parse.unquote(parts.path))
            if parts.scheme != "file":
                self.note(view, [{"check": "links", "what": f"{href} leads out of the folder"}])
            elif not target.exists():
                self.note(view, [{"check": "links", "what": f"{href} is not there"}])
            elif torn(target):
                self.note(view, [{"check": "files", "what": f"{href}: {torn(target)}"}])

    def keyboard(self, view):
        """Tab reaches every control and shows where it is; details open; switches switch."""
        probe = PROBES["keyboard"]
        count = self.session.run(probe, "watch")
        self.session.press(*["Tab"] * min(count + 2, MOST_STOPS))
        after = self.session.run(probe, "visited")
        if count + 2 > MOST_STOPS:
            after["findings"] = [{"check": "focus", "what": f"{count} stops: more than anybody wants to tab through"}]
        self.note(view, after["findings"])
        if view.startswith(str(WIDTHS[-1])):
            self.rings_of(view, after["kinds"])
            self.details(view)
            self.switches(view)
        self.session.run("document.activeElement.blur();")

    def rings_of(self, view, kinds):
        """The focus changes what is to be seen, whatever the styles say: two photographs of one control of each kind."""
        for kind in kinds:
            if kind in self.rings:
                continue
            self.rings.add(kind)
            shots = []
            for on in (True, False):
                area = self.session.run(PROBES["keyboard"], "show", kind, on)
                shots.append(self.session.screenshot(clip=area))
            if shots[0] == shots[1]:
                self.note(view, [{"check": "focus", "what": f"{kind} looks the same with and without the focus"}])

    def details(self, view):
        """Enter and Space open and close."""
        if self.session.run(SUMMARY, True) is None:
            return
        for key, wanted in (("Enter", True), ("Space", False)):
            self.session.press(key)
            if self.session.run(SUMMARY, False) != wanted:
                self.note(view, [{"check": "details", "what": f"{key} does not {'open' if wanted else 'close'} the first details"}])

    def switches(self, view):
        """The arrows go through a switch's options, and every one shows another picture: one that says something else, or, where
        the page is known to differ by metric, in other colours."""
        for group in self.session.run(GROUPS):
            start = self.session.run(CHOICE, group)
            focus = "const r = [...document.getElementsByName(arguments[0])]; (r.find((x) => x.checked) || r[0]).focus();"
            self.session.run(focus, group)
            seen = [start]
            for _ in range(start["options"]):
                self.session.press("Right")
                seen.append(self.session.run(CHOICE, group))
            chosen = [state["chosen"] for state in seen]
            if sorted(chosen[1:]) != list(range(start["options"])):
                self.note(view, [{"check": "switch", "what": f"“{group}”: the arrow goes through {chosen}"}])
            if any(state["focused"] < 0 for state in seen[1:]):
                self.note(view, [{"check": "switch", "what": f"“{group}” loses the focus"}])
            for aspect in ("pictures", "colours" if self.recolours else "content"):
                kinds = {str(state[aspect]) for state in seen[1:]}
                if len(kinds) < start["options"]:
                    self.note(view, [{"check": "switch", "what": f"“{group}”: {start['options']} choices, {len(kinds)} kinds of {aspect}"}])
