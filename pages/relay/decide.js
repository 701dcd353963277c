// What an operator decides about an alert: acknowledge, shelve for a time, close with an outcome. A dialog asks who
// decides and for a note; the relay answers only when the decision is on its disk.

import { element, plain } from "../shared/dom.js";
import { postJSON } from "../shared/http.js";

const nameKey = "columba.by";

let certificateName = "";

/** The name of the operator's certificate, where there is one. */
export function knowOperator(name) {
  certificateName = name ?? "";
}

export function operatorName() {
  return localStorage.getItem(nameKey) ?? certificateName;
}

const actions = {
  ack: { title: "Acknowledge", verb: "Acknowledge", hint: "Somebody is on it. The alert stays open." },
  shelve: { title: "Shelve", verb: "Shelve", hint: "Put aside; it comes back as unseen when the time is over." },
  close: { title: "Close", verb: "Close", hint: "Settled. The outcome counts in the rule’s false-alarm rate." },
};
const shelves = [["900", "15 min"], ["3600", "1 h"], ["28800", "8 h"], ["86400", "1 day"], ["", "Until I look"]];
const outcomes = [["confirmed", "Confirmed"], ["false_alarm", "False alarm"], ["unknown", "Unknown"]];

function choices(name, options, chosen) {
  return element("div", { class: "choices", role: "radiogroup", "aria-label": name }, options.map(([value, title]) =>
    element("label", {}, element("input", { type: "radio", name, value, required: true, checked: value === chosen }),
      element("span", {}, title))));
}

/** POSTs a decision; gives the alert as it is then. */
export function send(alert, action, body) {
  return postJSON(`/v1/alerts/${encodeURIComponent(alert.alert_id)}/${action}`, body, { timeoutSeconds: 20 });
}

/** At once, without a question: possible where the operator has said who they are. */
export async function acknowledgeAtOnce(alert) {
  return send(alert, "ack", { by: operatorName(), note: "" });
}

/** Asks, sends, and gives the changed alert; null where the operator thought better of it. */
export function decide(alert, action) {
  const { title, verb, hint } = actions[action];
  const fault = element("p", { class: "fault", role: "alert" });
  const by = element(
    "input", { type: "text", name: "by", required: true, maxlength: 128, autocomplete: "name", value: operatorName() });
  const note = element("input", { type: "text", name: "note", maxlength: 4000, autocomplete: "off" });
  const submit = element("button", { class: "primary", type: "submit" }, verb);
  const dialog = element("dialog", { "aria-labelledby": "decide-title" });
  const form = element("form", {},
    element("h2", { id: "decide-title" }, `${title}: ${plain(alert.rule)} · ${alert.drone_id}`),
      element("p", { class: "soft" }, hint),
    action === "shelve" ? choices("for_s", shelves, "3600") : null,
    action === "close" ? choices("outcome", outcomes, null) : null,
    element("label", {}, element("span", { class: "label" }, "Who decides"), by),
    element("label", {}, element("span", { class: "label" }, "Note"), note), fault,
    element("div", { class: "actions" },
      element("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), submit));
  dialog.append(form);
  return new Promise((resolve) => {
    let result = null;
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      localStorage.setItem(nameKey, by.value);
      submit.disabled = true;
      fault.textContent = "";
      try {
        result = await send(alert, action, bodyOf(new FormData(form)));
        dialog.close();
      } catch (error) {
        fault.textContent = error.message;
        submit.disabled = false;
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    (action === "close" ? form.querySelector("input[type=radio]") : by.value ? note : by).focus();
  });
}

function bodyOf(data) {
  const body = { by: data.get("by"), note: data.get("note") ?? "" };
  if (data.get("outcome")) body.outcome = data.get("outcome");
  if (data.get("for_s")) body.for_s = Number(data.get("for_s"));
  return body;
}
