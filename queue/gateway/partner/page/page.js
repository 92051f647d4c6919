// The partner's front end: initiate a flow, launch it on the kiosk, show what
// the kiosk and the gateway say of it. It keeps no token.
"use strict";

const words = JSON.parse(document.getElementById("words").textContent);
const at = (id) => document.getElementById(id);
let correlation = "";
let stream = null;

function say(key, mood, more) {
  const line = at("say");
  line.textContent = [words["say:" + key] || key, more].filter(Boolean).join(" ");
  line.className = mood || "";
}

// call makes one request and returns the body of its answer; a failure throws
// the gateway's cause.
async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const data = await answer.json();
  if (!answer.ok) {
    const e = new Error(data.errors[0].cause);
    e.data = data.data;
    throw e;
  }
  return data;
}

function show(state) {
  for (const cell of document.querySelectorAll("[data-of]")) {
    const value = cell.dataset.of.split(".").reduce((v, k) => (v === undefined ? v : v[k]), state);
    cell.textContent = value === undefined || value === "" ? "–"
      : value === true ? words.yes : value === false ? words.no
      : cell.dataset.of === "gateway.processedAt" ? new Date(value).toLocaleString(document.documentElement.lang) : value;
  }
  at("columns").hidden = false;
  at("again").hidden = !(state.kiosk && state.kiosk.retriable);
  const kiosk = state.kiosk, gateway = state.gateway;
  if (gateway && gateway.result) {
    say(gateway.result, gateway.result === "VALID" ? "good" : "bad");
  } else if (kiosk && kiosk.status === "NOT_COMPLETED" && !kiosk.last) {
    say("SAVED");
  } else if (kiosk) {
    say(kiosk.status, kiosk.status === "COMPLETED" ? "good" : "bad");
  } else if (state.stage) {
    say("RUNNING");
  }
}

function follow() {
  if (stream) stream.close();
  stream = new EventSource("v1/sessions/" + encodeURIComponent(correlation) + "/events");
  stream.onmessage = (e) => show(JSON.parse(e.data));
  stream.onerror = () => say("lost", "bad");
}

async function launch() {
  at("by-hand").hidden = true;
  try {
    const done = await call("POST", "v1/sessions/" + encodeURIComponent(correlation) + "/launch", { locale: at("locale").value });
    if (done.command) {
      at("command").textContent = done.command;
      at("by-hand").hidden = false;
      say("");
    } else {
      say("launched");
    }
    follow();
  } catch (e) {
    if (e.message === "LAUNCH_REFUSED") {
      show({ correlationId: correlation, kiosk: e.data });
      say("refused", "bad", e.data.errorMessage);
    } else if (e.message === "KIOSK_UNREACHABLE") {
      say("unreachable", "bad");
      at("again").hidden = false;
      at("columns").hidden = false;
    } else {
      say("failed", "bad", e.message);
    }
  }
}

async function guarded(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (e) {
    if (words["say:" + e.message]) say(e.message);
    else say("failed", "bad", e.message);
  } finally {
    button.disabled = false;
  }
}

at("form").addEventListener("submit", (e) => {
  e.preventDefault();
  guarded(at("start"), async () => {
    say("working");
    at("submission").hidden = true;
    if (stream) stream.close();
    const flow = await call("POST", "v1/flows", { userId: at("customer").value, locale: at("locale").value });
    correlation = flow.correlationId;
    show({ correlationId: correlation });
    await launch();
  });
});
at("again").addEventListener("click", () => guarded(at("again"), launch));
at("details").addEventListener("click", () => guarded(at("details"), async () => {
  const details = await call("GET", "v1/submissions/" + encodeURIComponent(correlation));
  at("submission").textContent = JSON.stringify(details, null, 2);
  at("submission").hidden = false;
}));
