// The live view of one reply. The kernel sends frames; each view of the model draws what they change.
//
// {retry, seconds}                 the request failed and is sent again
// {reasoning, html, tail, fresh}   more reasoning; closed blocks as HTML; the open text, appended or (fresh) replaced

const WORD = /[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+/g;
const CODE = /^ {0,3}(```|~~~)/;

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // made by markdown-it in the kernel, with raw HTML off
  return template.content;
}

const seconds = (since) => Math.max(0, Math.floor((performance.now() - since) / 1000));

class View {
  constructor(el, reply) {
    this.reply = reply;
    this.words = element("summary", "");
    this.thoughts = new Text("");
    this.reasoning = element("details", "mr-reasoning", this.words, element("div", "mr-thoughts", this.thoughts));
    this.open = new Text("");
    this.tail = element("div", "mr-tail", this.open);
    this.answer = element("div", "mr-answer", this.tail);
    this.answer.setAttribute("aria-busy", "true");
    this.clock = element("span", "mr-clock");
    this.clock.setAttribute("aria-hidden", "true"); // read aloud is the phase alone, once
    this.phase = element("span", "mr-phase");
    this.phase.setAttribute("role", "status");
    const status = element("div", "mr-status", element("span", "mr-dot"), this.clock, this.phase);
    el.classList.add("mr-reply");
    el.append(
      element("div", "mr-body jp-RenderedHTMLCommon jp-RenderedMarkdown", this.reasoning, this.answer),
      status,
    );
    this.draw({ reasoning: reply.reasoning, html: reply.html, tail: reply.tail, fresh: true });
  }

  draw({ reasoning = "", html = "", tail = "", fresh = false }) {
    if (reasoning) this.thoughts.appendData(reasoning);
    if (html) this.tail.before(fragment(html));
    if (fresh) this.open.data = tail;
    else if (tail) this.open.appendData(tail);
    this.tail.classList.toggle("mr-code", CODE.test(this.open.data.slice(0, 8)));
    this.tick();
  }

  tick() {
    const { phase, name, words } = this.reply;
    this.reasoning.hidden = !words;
    this.words.textContent = `${phase === "thinking" ? "Thinking" : "Reasoning"} (${words.toLocaleString("en")} words)`;
    this.answer.hidden = phase !== "answering";
    this.clock.textContent = `${name} · ${this.reply.status()}`;
    const spoken = `${name} is ${phase}`;
    if (this.phase.textContent !== spoken) this.phase.textContent = spoken;
  }
}

class Reply {
  constructor(name) {
    this.name = name;
    this.phase = "waiting";
    this.started = performance.now();
    this.reasoning = this.html = this.tail = "";
    this.words = 0;
    this.views = new Set();
    this.timer = setInterval(() => this.views.forEach((view) => view.tick()), 1000);
  }

  receive(change) {
    if ("retry" in change) {
      this.phase = "retrying";
      this.why = change.retry;
      this.again = performance.now() + change.seconds * 1000;
    } else {
      this.phase = change.html || change.tail || this.html || this.tail ? "answering" : "thinking";
      this.reasoning += change.reasoning;
      if (change.reasoning) this.words = (this.reasoning.match(WORD) || []).length;
      this.html += change.html;
      this.tail = change.fresh ? change.tail : this.tail + change.tail;
    }
    this.views.forEach((view) => view.draw(change));
  }

  status() {
    if (this.phase !== "retrying") return `${this.phase} ${seconds(this.started)} s`;
    const left = Math.ceil((this.again - performance.now()) / 1000);
    return `${this.why} · ${left > 0 ? `again in ${left} s` : "asking again"}`;
  }
}

export default () => {
  let reply;
  return {
    initialize({ model }) {
      reply = new Reply(model.get("model_name"));
      model.on("msg:custom", (change) => reply.receive(change));
      return () => clearInterval(reply.timer);
    },
    render({ el }) {
      const view = new View(el, reply);
      reply.views.add(view);
      view.tick();
      return () => reply.views.delete(view);
    },
  };
};
