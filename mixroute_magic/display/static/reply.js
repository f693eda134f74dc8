// The live view of replies, one in each column. The kernel sends frames; each view of the model draws what they change.
//
// {changes: [{column, …}, …]}, of which a change leaves out what is empty:
//   text, html, closed, code   more of the answer's source; the first so many characters of what was open, as HTML; whether
//                              the rest goes on with a block of code
//   reasoning                  more of what was thought before it
//   retry, seconds             the request failed for this reason, and is sent again
//   doing                      what goes on in the notebook before the answer can go on: a tool runs
//   ended, footer, error       how this reply ended, while others go on, and the lines that say why

const WORD = /[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+/g;
const CODE = /^ {0,3}(```|~~~)/;
const ITEM = /^ {0,3}([-*+]|\d{1,9}[.)]) /;
const LANGUAGE = /^(?!mermaid)[\w+#.-]+$/i;
const FORMULA = /\$|\\[([]|\\begin/;
const MACRO = /\\(href|style|class|cssId|require|mmlToken|unicode|bbox|data)/; // those that reach the page around a formula
const BYTES_PER_TOKEN = 4; // as %chat --dry-run estimates
const MARKS = { complete: "✓", interrupted: "■", failed: "✗" };

const utf8 = new TextEncoder();

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

function button(label, act) {
  const node = element("button", "mr-button", label);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // made by markdown-it in the kernel, with raw HTML off
  return template.content;
}

const idle = () => new Promise((resolve) => (window.requestIdleCallback ?? setTimeout)(resolve, { timeout: 500 }));

// Lets the page typeset formulas and colour code as it will in the final output, when it has time. These are objects of
// JupyterLab that are no public interface: where they are missing, or do not do just that, the text stays as it is.
async function beautify(nodes, rendermime) {
  for (const node of nodes) {
    const text = node.textContent;
    const codes = node.matches("pre") ? node.children : node.querySelectorAll("pre > code");
    try {
      if (FORMULA.test(text) && !MACRO.test(text)) {
        await idle();
        rendermime.latexTypesetter.typeset(node);
      }
      for (const code of codes) {
        await idle();
        await colour(code, rendermime.markdownParser);
      }
    } catch {
      return;
    }
  }
}

async function colour(code, parser) {
  const text = code.textContent;
  const language = code.className.replace(/^language-/, "");
  if (!LANGUAGE.test(language)) return;
  const fence = "`".repeat(Math.max(3, ...Array.from(text.matchAll(/`+/g), ([run]) => run.length + 1)));
  const source = `${fence}${language}\n${text.replace(/\n?$/, "\n")}${fence}\n`;
  const coloured = fragment(await parser.render(source)).querySelector("pre > code");
  const harmless = Array.from(coloured.querySelectorAll("*")).every(
    (part) => part.matches("span") && part.getAttributeNames().every((name) => name === "class"),
  );
  if (harmless && coloured.textContent.trimEnd() === text.trimEnd()) code.replaceChildren(...coloured.childNodes);
}

// Sets what has changed, and nothing else: a page styles anew what is set, whether or not it is the same.
function set(node, values) {
  for (const [name, value] of Object.entries(values)) {
    if (node[name] !== value) node[name] = value;
  }
}

const seconds = (since) => Math.max(0, (performance.now() - since) / 1000);
const number = (value) => Math.round(value).toLocaleString("en");

// What is known of one reply, whether or not anybody looks.
class Reply {
  constructor(name) {
    this.name = name;
    this.phase = "waiting";
    this.started = performance.now();
    this.source = this.html = this.reasoning = this.footer = this.error = "";
    this.closed = this.words = this.bytes = 0;
    this.code = false;
  }

  receive({ text = "", html = "", closed = 0, code = false, reasoning = "", ...told }) {
    if (told.retry) {
      this.phase = "retrying";
      this.why = told.retry;
      this.again = performance.now() + told.seconds * 1000;
    } else if (told.doing) {
      this.phase = told.doing;
    }
    if (reasoning) {
      this.phase = "thinking";
      this.reasoning += reasoning;
      this.words += (reasoning.match(WORD) ?? []).length;
    }
    if (text) {
      this.phase = "answering";
      this.first ??= performance.now();
      this.source += text;
      this.bytes += utf8.encode(text).length;
    }
    this.html += html;
    this.closed += closed;
    this.code = code;
    if (told.ended) {
      this.phase = told.ended;
      this.footer = told.footer;
      this.error = told.error;
    }
  }

  get open() {
    return this.source.slice(this.closed);
  }

  get ended() {
    return this.phase in MARKS;
  }

  status() {
    if (this.ended) return `${MARKS[this.phase]} ${this.footer}`;
    const elapsed = `${this.phase} ${Math.floor(seconds(this.started))} s`;
    if (this.phase === "retrying") {
      const left = Math.ceil((this.again - performance.now()) / 1000);
      return `${this.why} · ${left > 0 ? `again in ${left} s` : "asking again"}`;
    }
    if (this.phase !== "answering") return elapsed;
    const tokens = this.bytes / BYTES_PER_TOKEN;
    const since = seconds(this.first);
    const speed = since >= 1 ? ` · ${number(tokens / since)} tokens/s` : "";
    return `${elapsed} · ≈ ${number(tokens)} tokens${speed}`;
  }
}

// How one reply is seen.
class Column {
  constructor(reply, rendermime, { named }) {
    this.reply = reply;
    this.named = named; // by a heading, where there are others
    this.beautified = Promise.resolve();
    this.rendermime = rendermime;
    this.words = element("summary", "");
    this.thoughts = new Text(reply.reasoning);
    this.reasoning = element("details", "mr-reasoning jp-RenderedHTMLCommon", this.words, element("div", "mr-thoughts", this.thoughts));
    this.open = new Text(reply.open);
    this.tail = element("div", "mr-tail", this.open);
    this.answer = element(
      "div",
      "mr-answer jp-RenderedHTMLCommon jp-RenderedMarkdown",
      this.tail,
    );
    this.close(reply.html);
    this.answer.dir = "auto";
    this.clock = element("span", "mr-clock");
    this.clock.setAttribute("aria-hidden", "true"); // read aloud is the phase alone, once
    this.phase = element("span", "mr-phase");
    this.phase.setAttribute("role", "status");
    this.copy = button("Copy", () => this.copySource());
    this.buttons = element("span", "mr-buttons", this.copy);
    this.dot = element("span", "mr-dot");
    this.status = element("div", "mr-status", element("span", "", this.dot, this.clock), this.phase, this.buttons);
    this.error = element("div", "mr-error");
    this.node = element("div", "mr-column", this.reasoning, this.answer, this.error, this.status);
    if (named) this.node.prepend(element("div", "mr-name", reply.name));
    this.mark();
    this.tick();
  }

  draw({ text = "", html = "", closed = 0, reasoning = "" }) {
    if (reasoning) this.thoughts.appendData(reasoning);
    if (html) this.close(html);
    if (closed) this.open.data = this.reply.open;
    else if (text) this.open.appendData(text);
    this.mark();
    this.tick();
  }

  close(html) {
    const closed = fragment(html);
    const nodes = Array.from(closed.children);
    const before = this.tail.previousElementSibling;
    before?.classList.toggle("mr-before", nodes[0]?.matches(".mr-on") ?? false);
    this.tail.before(closed);
    for (const node of nodes) if (node.matches("pre") && !node.textContent) node.hidden = true;
    this.beautified = this.beautified.then(() => beautify(nodes, this.rendermime)); // one after the other
  }

  mark() {
    const { reply, tail } = this;
    const start = this.open.data.slice(0, 16);
    const list = !reply.code && ITEM.test(start);
    const before = tail.previousElementSibling;
    before?.classList.toggle("mr-before", reply.code || (list && before.matches("ul, ol")));
    tail.classList.toggle("mr-code", reply.code || CODE.test(start));
    tail.classList.toggle("mr-list", list);
    tail.classList.toggle("mr-on", reply.code);
    tail.classList.toggle("mr-ended", reply.ended);
    set(tail, { hidden: reply.ended && !this.open.data });
  }

  tick() {
    const { phase, name, words, source, ended } = this.reply;
    const status = this.reply.status();
    set(this.reasoning, { hidden: !words });
    set(this.words, { textContent: `${phase === "thinking" ? "Thinking" : "Reasoning"} (${number(words)} words)` });
    set(this.answer, { hidden: !source, ariaBusy: `${!ended}` });
    set(this.copy, { hidden: !source });
    set(this.dot, { hidden: ended });
    set(this.error, { textContent: this.reply.error });
    set(this.clock, { textContent: this.named || ended ? status : `${name} · ${status}` });
    set(this.phase, { textContent: `${name} is ${phase}` }); // which is read aloud when it changes
  }

  async copySource() {
    const said = (words) => {
      this.copy.textContent = words;
    };
    try {
      await navigator.clipboard.writeText(this.reply.source);
      said("Copied");
    } catch {
      said("Not allowed here"); // browsers give pages without https no clipboard
    }
    setTimeout(said, 1500, "Copy");
  }
}

// A page of a Jupyter server can interrupt the kernel by itself: words to a kernel that runs a cell would wait for its end.
function stopButton(model) {
  const { kernel } = model.widget_manager ?? {};
  if (typeof kernel?.interrupt !== "function") return [];
  const stop = button("Stop", async () => {
    stop.disabled = true;
    stop.textContent = "Stopping …";
    try {
      await kernel.interrupt();
    } catch {
      stop.disabled = false;
      stop.textContent = "Stop";
    }
  });
  stop.title = "Stop the answer; what has come is kept";
  return [stop];
}

// The page loads what it needs to show Markdown when it first does: now, not in the moment in which the final output takes
// the view's place, which would be empty for as long, and let the page jump.
const warm = async ({ rendermime } = {}) => rendermime?.markdownParser?.render("*warm*");

export default () => {
  let replies;
  const views = new Set();
  return {
    initialize({ model }) {
      warm(model.widget_manager).catch(() => {});
      replies = model.get("names").map((name) => new Reply(name));
      model.on("msg:custom", ({ changes }) => {
        for (const change of changes) {
          replies[change.column].receive(change);
          for (const columns of views) columns[change.column].draw(change);
        }
      });
      const timer = setInterval(() => views.forEach((columns) => columns.forEach((column) => column.tick())), 1000);
      return () => clearInterval(timer);
    },
    render({ model, el }) {
      const several = replies.length > 1;
      const { rendermime } = model.widget_manager ?? {};
      const columns = replies.map((reply) => new Column(reply, rendermime, { named: several }));
      el.classList.add("mr-reply");
      const row = element("div", several ? "mr-several" : "", ...columns.map(({ node }) => node));
      row.style.setProperty("--mr-columns", columns.length === 4 ? 2 : Math.min(columns.length, 3)); // as in the table
      const bar = several ? element("div", "mr-status") : columns[0].buttons;
      bar.append(...stopButton(model));
      el.append(row, ...(several ? [bar] : []));
      views.add(columns);
      return () => views.delete(columns);
    },
  };
};
