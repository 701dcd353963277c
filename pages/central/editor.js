// The SQL editor: CodeMirror of the distribution, loaded when the tab is first opened, with the archive's schema for
// completion and a mark at the place an error names.

import { element } from "../shared/dom.js";
import { onThemeChange } from "../shared/theme.js";

const vendor = "/pages/vendor/codemirror/";
const scripts = ["codemirror.js", "sql.js", "show-hint.js", "sql-hint.js", "matchbrackets.js", "closebrackets.js"];
const styles = ["codemirror.css", "show-hint.css"];
let loading = null;

/** The library is one global, made by its scripts in this order. */
function load() {
  loading ??= (async () => {
    for (const name of styles) document.head.append(element("link", { rel: "stylesheet", href: vendor + name }));
    for (const name of scripts) await script(vendor + name);
    return globalThis.CodeMirror;
  })();
  return loading;
}

function script(address) {
  return new Promise((resolve, reject) => {
    const made = element("script", { src: address });
    made.onload = resolve;
    made.onerror = () => reject(new Error("The editor could not be loaded; the rest of the page works."));
    document.head.append(made);
  });
}

export class Editor {
  /** onRun(): Ctrl+Enter; onChange(text). */
  static async make(holder, text, { onRun, onChange }) {
    const CodeMirror = await load();
    const editor = new Editor();
    editor.code = CodeMirror(holder, {
      value: text, mode: "text/x-pgsql", lineNumbers: true, matchBrackets: true, autoCloseBrackets: true,
        lineWrapping: true,
      indentUnit: 2, tabSize: 2, viewportMargin: Infinity, gutters: ["CodeMirror-linenumbers", "fault-gutter"],
      extraKeys: {
        "Ctrl-Enter": onRun, "Cmd-Enter": onRun, "Ctrl-Space": (code) => code.showHint({ completeSingle: false }),
        // Tab leaves the editor: no trap for the keyboard. Indentation is Ctrl-].
        Tab: false, "Shift-Tab": false, "Ctrl-]": "indentMore", "Ctrl-[": "indentLess",
      },
    });
    editor.code.getInputField().setAttribute("aria-label", "SQL statement. Ctrl+Enter runs it, Ctrl+Space completes.");
    editor.code.on("change", () => {
      editor.clearFault();
      onChange(editor.text);
    });
    onThemeChange(() => editor.code.refresh());
    return editor;
  }

  get text() {
    return this.code.getValue();
  }

  set text(value) {
    this.code.setValue(value);
  }

  /** tables: {view: [column, …]} */
  complete(tables) {
    this.code.setOption("hintOptions", { tables, completeSingle: false });
  }

  insert(text) {
    this.code.replaceSelection(text);
    this.code.focus();
  }

  focus() {
    this.code.focus();
  }

  refresh() {
    this.code.refresh();
  }

  /** Marks the word at this place (line and column from 1, columns in characters) and says what is wrong under it. */
  showFault(message, place) {
    this.clearFault();
    const line = Math.min(this.code.lineCount(), place?.line ?? this.code.lineCount()) - 1;
    const note = element("div", { class: "editor-fault", role: "alert" }, message);
    this.note = this.code.addLineWidget(line, note, { coverGutter: false });
    if (!place) return;
    const from = units(this.code.getLine(line), place.column - 1);
    const word = /^[\p{L}\p{N}_]+|^./u.exec(this.code.getLine(line).slice(from))?.[0] ?? " ";
    this.marked = this.code.markText({ line, ch: from }, { line, ch: from + word.length }, { className: "fault-mark" });
    this.code.setGutterMarker(line, "fault-gutter", element("span", { class: "fault-dot", title: message }, "✕"));
    this.code.setCursor({ line, ch: from });
  }

  clearFault() {
    this.note?.clear();
    this.marked?.clear();
    this.code.clearGutter("fault-gutter");
    this.note = null;
    this.marked = null;
  }
}

/** Characters as central counts them → UTF-16 units of the line. */
function units(line, characters) {
  const pieces = [...new Intl.Segmenter("en", { granularity: "grapheme" }).segment(line)];
  return pieces[characters]?.index ?? line.length;
}

/** ` (line 2, column 8)` at the end of a problem's detail. */
export function placeOf(detail) {
  const found = /\(line (\d+), column (\d+)\)\s*$/.exec(detail);
  return found ? { line: Number(found[1]), column: Number(found[2]) } : null;
}
